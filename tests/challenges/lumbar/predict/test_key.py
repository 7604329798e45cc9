"""What a prediction depends on, and what it keeps of each study, so that it can go on."""

import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from pydantic import TypeAdapter

from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.challenges.lumbar.predict.key import key_of
from lsdc.challenges.lumbar.predict.models import TrainedModels
from lsdc.challenges.lumbar.predict.names import NamedLevel, Names
from lsdc.challenges.lumbar.predict.outcome import SeriesOutcome, StudyOutcome
from lsdc.challenges.lumbar.predict.sources import list_inputs
from lsdc.dicom_index.other_files import OtherFiles
from lsdc.dicom_index.quarantine import Quarantine
from lsdc.predict.unfinished import Block, block_folder, done_blocks, keep_block

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


def test_kept_studies_are_the_same_when_they_are_read_again(tmp_path: Path) -> None:
    adapter = TypeAdapter(list[StudyOutcome])
    folder = block_folder(tmp_path, 0)
    folder.mkdir()
    studies = [STUDY, replace(STUDY, study_id=8, names=None)]
    files = Quarantine.create_empty(), OtherFiles.create_empty()
    keep_block(Block(folder, studies, *files), adapter)
    assert done_blocks(tmp_path, adapter)[0].studies == studies


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


def test_key_changes_with_files_weights_and_arguments_and_not_with_results(
    models: TrainedModels, tmp_path: Path
) -> None:
    root = tmp_path / "studies"
    out = root / "out"
    out.mkdir(parents=True)

    def key(*arguments: str | int) -> str:
        return key_of(root, models, out, arguments=arguments)

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
