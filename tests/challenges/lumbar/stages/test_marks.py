"""The stage of the marks: computed with `loss.slice_weight` alone, and what training reads."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lsdc.challenges.lumbar.crops.marks import Marks
from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.challenges.lumbar.stages.marks import mark_slices
from lsdc.challenges.lumbar.steps import prepare
from lsdc.store.manifest import Manifest
from tasks.request import RunRequest
from tasks.run import open_run

MADE = Manifest(stage="made", path="made/x", digest="x", rows=1, files=())


def run_of(home: Path, **more: Any) -> LumbarRun:
    request = RunRequest.of(experiment="demo", data=None, home=home, folds=2, **more)
    return open_run(LumbarRun, request)


@pytest.mark.parametrize("settings", [[], ["loss.slice_weight=0.5"]])
def test_only_a_run_that_learns_the_slice_has_marks(
    settings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []

    def mark(_: LumbarRun, *inputs: Manifest) -> Manifest:
        asked.append(inputs)
        return MADE

    for name in ("publish_catalog", "refuse_bad_files", "note_so_far", "note_results"):
        monkeypatch.setattr(prepare, name, lambda *_, **__: None)
    for name in ("fix_sides", "cut_crops", "dispatch_coordinates"):
        monkeypatch.setattr(prepare, name, lambda *_, **__: MADE)
    monkeypatch.setattr(prepare, "read_training", lambda _: (MADE, MADE, MADE))
    monkeypatch.setattr(prepare, "mark_slices", mark)
    run = run_of(tmp_path / "home", settings=settings)
    prepared = prepare.prepare_training(run, for_training=False)
    assert prepared.marks == (MADE if settings else None)
    assert prepared.for_training == (MADE, MADE, prepared.marks)
    assert len(asked) == len(settings)
    assert ("marks" in run.task_runs) == bool(settings)


def test_stage_writes_the_declared_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = pl.DataFrame(
        {"row": [0], "condition": ["spinal_canal_stenosis"], "place": [3], "distance_mm": [0.5]}
    ).cast({"row": pl.Int32, "place": pl.Int32})
    module = "lsdc.challenges.lumbar.stages.marks"
    monkeypatch.setattr(f"{module}.find_marks", lambda *_: found)
    monkeypatch.setattr(f"{module}.moved_back", lambda instances, _: instances)
    monkeypatch.setattr(LumbarRun, "table", lambda *_: pl.DataFrame())
    run = run_of(tmp_path / "home")
    manifest = mark_slices.fn(run, *[MADE] * 5)
    written = pl.read_parquet(manifest.file(run.root, "marks.parquet"))
    assert Marks.validate(written).equals(found)
