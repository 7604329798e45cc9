"""A run records its results as it goes, so that `lsdc clean` keeps them if it is stopped."""

from pathlib import Path
from typing import NoReturn

import pytest

from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.challenges.lumbar.steps import prepare
from lsdc.errors import NoSpaceError
from lsdc.store.garbage import kept_results, pinned_results
from lsdc.store.manifest import Manifest
from tasks.request import RunRequest
from tasks.run import open_run

STAGES = {
    "index_studies": "index",
    "assign_folds": "folds",
    "correct_annotations": "annotations",
    "learn_coordinates": "coordinates",
    "fix_sides": "sides",
    "cut_crops": "crops",
}
SKIPPED = (
    "write_demo_data",
    "require_studies",
    "publish_catalog",
    "require_usable",
    "refuse_bad_files",
)


@pytest.mark.parametrize("full_at", ["assign_folds", "fix_sides", "cut_crops"])
def test_results_of_a_stopped_run_are_kept(
    full_at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: object) -> NoReturn:
        raise NoSpaceError("no space left")

    for name, stage in STAGES.items():
        made = Manifest(stage=stage, path=f"{stage}/{'a' * 16}", digest="", rows=1, files=())
        monkeypatch.setattr(prepare, name, lambda *_, made=made: made)
    for name in SKIPPED:
        monkeypatch.setattr(prepare, name, lambda *_, **__: None)
    run = open_run(
        LumbarRun, RunRequest.of(experiment="demo", data=None, home=tmp_path / "home", folds=2)
    )
    monkeypatch.setattr(prepare, full_at, no_space)
    with pytest.raises(NoSpaceError):
        prepare.prepare_training(run)
    before = list(STAGES.values())[: list(STAGES).index(full_at)]
    assert {path.parent.name for path in kept_results(run.home, run.name)} == set(before)
    assert pinned_results(run.home, run.name) == []
