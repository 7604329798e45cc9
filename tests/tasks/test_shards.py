"""Shards of a stage: how studies are split, and how progress is reported."""

from pathlib import Path

import pytest

from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.challenges.lumbar.stages.crops import cut_shard
from lsdc.errors import SettingsError
from tasks import shards
from tasks.progress import Progress, listening
from tasks.request import RunRequest
from tasks.run import Run, open_run


@pytest.fixture
def run(phantom: Path, tmp_path: Path) -> Run:
    return open_run(
        LumbarRun, RunRequest.of(experiment="demo", data=phantom, home=tmp_path / "home", folds=2)
    )


def split(run: Run, studies: list[int]) -> list[shards.Shard]:
    return shards.split_into_shards(
        run, "crops train", cut_shard, studies, lambda own: f"{len(list(own))}"
    )


def test_each_study_is_in_one_shard_in_the_order_of_ids(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "UNITS_HERE", 3)
    portions = split(run, [5, 1, 1, 9, 7, 3, 8, 2, 5])
    assert [shard.names for shard in portions] == [(1, 2, 3), (5, 7, 8), (9,)]
    assert [shard.before for shard in portions] == [0, 3, 6]
    assert [shard.files for shard in portions] == ["3", "3", "1"]
    assert {shard.total for shard in portions} == {7}
    assert [str(shard) for shard in portions][1] == "crops train 2 of 3"


def test_units_may_have_any_names(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "UNITS_HERE", 2)
    portions = shards.split_into_shards(run, "index train", cut_shard, ["b", "010", "10"])
    assert [shard.names for shard in portions] == [("010", "10"), ("b",)]
    assert shards.Shard.model_validate_json(portions[0].model_dump_json()) == portions[0]


def test_no_studies_give_one_empty_shard(run: Run) -> None:
    (shard,) = split(run, [])
    assert (shard.names, shard.total) == ((), 0)


def test_shards_for_dask_are_smaller(run: Run) -> None:
    there = run.model_copy(update={"runner": "tcp://somewhere:8786", "threads": 8})
    studies = list(range(100))
    assert len(split(there, studies)) > len(split(run, studies)) == 1
    assert shards.shard_processes(there) == 1
    assert shards.shard_processes(run.model_copy(update={"threads": 8})) == 8


def test_shards_report_the_progress_of_the_whole_stage(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "UNITS_HERE", 4)
    _, second = split(run, list(range(8)))
    heard = list[Progress]()
    with listening(heard.append):
        shards.shard_progress(second)(60, 120)  # half of its files
    assert heard == [Progress("crops train", done=6, total=8)]


def test_other_code_or_libraries_are_refused(run: Run) -> None:
    (shard,) = split(run, [1])
    shards.require_same_versions(shard, cut_shard)
    other = shard.model_copy(update={"code_fingerprint": "another"})
    with pytest.raises(SettingsError, match=r"crops train 1 of 1: the Dask worker on .* has other"):
        shards.require_same_versions(other, cut_shard)
