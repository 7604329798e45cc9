"""Unfinished work: whole blocks are taken up again, and nothing else."""

import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.challenges.lumbar.predict.block import Prepared
from lsdc.challenges.lumbar.predict.models import TrainedModels
from lsdc.challenges.lumbar.predict.names import NamedLevel, Names
from lsdc.challenges.lumbar.predict.outcome import SeriesOutcome, StudyOutcome
from lsdc.challenges.lumbar.predict.queues import Queues
from lsdc.challenges.lumbar.predict.sources import Studies, list_inputs
from lsdc.challenges.lumbar.predict.unfinished import (
    FOLDER,
    block_folder,
    done_blocks,
    keep_block,
    unfinished,
    work_key,
)
from lsdc.dicom_index.other_files import OtherFiles
from lsdc.dicom_index.quarantine import Quarantine
from lsdc.errors import DataError
from lsdc.predict.workplace import Workplace
from lsdc.training.process import ignore

LEVEL = NamedLevel(0.1 + 0.2, "predicted", 3, (1 / 3, -2.0, 1e-17))
STUDY = StudyOutcome(
    study_id=7,
    spelled="007",
    folder="test_images/007",
    series=(SeriesOutcome(3, "Axial T2", "tags", "", "", 5, 0, "axial", 90.0, None, 1.4),),
    missing=("Sagittal T1",),
    names=Names({"l1_l2": LEVEL, "l2_l3": replace(LEVEL, position_mm=None)}, ("a doubt",), True),
    why_prior="",
    quarantined=2,
)


@pytest.fixture
def models(tmp_path: Path) -> TrainedModels:
    """Return models of one fold, whose weights are text."""
    fold, points = tmp_path / "fold-0", tmp_path / "points"
    for folder, name in ((fold, "model"), (points, "fold-0-sagittal")):
        folder.mkdir()
        (folder / f"{name}.safetensors").write_text("weights")
    experiment = EXPERIMENTS.load("demo")
    return TrainedModels("demo", experiment, {0: fold}, points, pl.DataFrame({"severe": [0.1]}))


def queue_in(folder: Path, models: TrainedModels) -> Queues:
    return Queues(models, Workplace(folder, folder / "log", "cpu", 1, ignore))


def keep(work: Path, number: int, study: StudyOutcome, models: TrainedModels) -> Path:
    """Keep a block of one study, which has no crops."""
    folder = block_folder(work, number)
    folder.mkdir()
    none = pl.DataFrame()
    studies = Studies((study.study_id,), none, Quarantine.create_empty(), OtherFiles.create_empty())
    keep_block(Prepared(studies, folder), [study], queue_in(work, models))
    return folder


def test_kept_studies_are_the_same_when_they_are_read_again(
    models: TrainedModels, tmp_path: Path
) -> None:
    keep(tmp_path, 0, STUDY, models)
    keep(tmp_path, 1, replace(STUDY, study_id=8, names=None), models)
    found = done_blocks(tmp_path, queue_in(tmp_path, models))
    assert [study for block in found for study in block.studies] == [
        STUDY,
        replace(STUDY, study_id=8, names=None),
    ]
    assert [block.folder.name for block in found] == ["block-000000", "block-000001"]


def test_blocks_that_were_not_finished_are_removed(models: TrainedModels, tmp_path: Path) -> None:
    keep(tmp_path, 0, STUDY, models)
    cut = keep(tmp_path, 1, STUDY, models)
    (cut / "done.json").unlink()
    later = keep(tmp_path, 2, STUDY, models)  # the queue's state before it is unknown
    found = done_blocks(tmp_path, queue_in(tmp_path, models))
    assert [block.folder.name for block in found] == ["block-000000"]
    assert not cut.exists()
    assert not later.exists()


def interrupted_work(out: Path, key: str, found: set[str]) -> None:
    with unfinished(out, key) as folder:
        found |= {path.name for path in folder.iterdir()}
        (folder / "result").touch()
        (folder / ".writing-half").touch()
        raise KeyboardInterrupt


def failed_work(out: Path, blocks: int, models: TrainedModels) -> None:
    with unfinished(out, "key") as folder:
        for number in range(blocks):
            keep(folder, number, STUDY, models)
        raise DataError("a table")


def test_work_stays_after_an_interrupt_and_goes_with_another_key(tmp_path: Path) -> None:
    for key, expected in (("one", set()), ("one", {"result"}), ("two", set())):
        found = set[str]()
        with pytest.raises(KeyboardInterrupt):
            interrupted_work(tmp_path, key, found)
        assert found == {"key.txt"} | expected
    with unfinished(tmp_path, "two"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_inputs_of_a_test_set_are_its_tables_and_images(tmp_path: Path) -> None:
    images = tmp_path / "test_images" / "1" / "2"
    images.mkdir(parents=True)
    for name in ("train.csv", "sample_submission.csv", "test_images/1/2/3.dcm"):
        (tmp_path / name).write_text("text")
    table = tmp_path / "test_series_descriptions.csv"
    table.write_text("study_id,series_id,series_description\n1,2,Axial T2\n")
    found = list_inputs(tmp_path, leave_out=tmp_path / "out").sort("bytes", "path")
    expected = ["sample_submission.csv", "test_images/1/2/3.dcm", table.name]
    assert found["path"].to_list() == [str(tmp_path / name) for name in expected]
    assert found["bytes"].to_list() == [4, 4, table.stat().st_size]
    shutil.rmtree(tmp_path / "test_images")
    assert len(list_inputs(tmp_path, leave_out=tmp_path / "out")) == 2


@pytest.mark.parametrize("blocks", [0, 1])
def test_after_an_error_only_whole_blocks_are_kept(
    blocks: int, models: TrainedModels, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(DataError):
        failed_work(out, blocks, models)
    assert (out / FOLDER).exists() == bool(blocks)


def test_key_changes_with_files_weights_and_arguments_and_not_with_results(
    models: TrainedModels, tmp_path: Path
) -> None:
    root = tmp_path / "studies"
    out = root / "out"
    out.mkdir(parents=True)

    def key(*arguments: str | int) -> str:
        return work_key(root, models, out, arguments=arguments)

    before = key()
    (out / "result").touch()
    assert key() == before
    keys = [before, key("cpu", 1), key("cpu", 2), key("cuda", 1)]
    (root / "image").write_text("a")
    keys.append(key())
    (root / "image").write_text("ab")
    keys.append(key())
    (models.folds[0] / "model.safetensors").write_text("others")
    keys.append(key())
    (models.points / "fold-0-sagittal.safetensors").write_text("others")
    keys.append(key())
    assert len(set(keys)) == len(keys)
