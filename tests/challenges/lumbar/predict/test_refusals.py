"""Predictions refuse a wrong folder before anything is written."""

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.challenges.lumbar.predict.models import TrainedModels
from lsdc.challenges.lumbar.predict.studies import predict_studies
from lsdc.errors import DataError, HomeBusyError, SettingsError
from lsdc.predict.results import LOG
from lsdc.store.file_locks import file_lock


@pytest.fixture
def models(tmp_path: Path) -> TrainedModels:
    return TrainedModels("none", EXPERIMENTS.load("demo"), {}, tmp_path / "none", pl.DataFrame())


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def test_a_folder_that_does_not_exist_is_refused(models: TrainedModels, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such folder, expected one with DICOM"):
        predict_studies(tmp_path / "nowhere", models, tmp_path / "out")
    assert files_in(tmp_path) == []


def test_results_never_replace_other_files(models: TrainedModels, tmp_path: Path) -> None:
    own = tmp_path / "out" / "pictures" / "mine.png"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    before = files_in(tmp_path)
    with pytest.raises(SettingsError, match=r"out: expected an empty folder or results of"):
        predict_studies(tmp_path, models, tmp_path / "out")
    assert files_in(tmp_path) == before


def test_a_second_prediction_into_the_same_folder_is_refused(
    models: TrainedModels, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / LOG).touch()
    with (
        file_lock(out / ".predict.lock"),
        pytest.raises(HomeBusyError, match="another prediction writes into this folder"),
    ):
        predict_studies(tmp_path, models, out)


def test_an_interrupted_prediction_leaves_no_results(models: TrainedModels, tmp_path: Path) -> None:
    out, root = tmp_path / "out", tmp_path / "studies"
    (out / ".writing-left").mkdir(parents=True)
    (out / LOG).touch()
    root.mkdir()
    (root / "notes.txt").write_text("no image")

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_studies(root, models, out, on_progress=interrupt)
    assert {path.name for path in out.iterdir()} <= {LOG, ".predict.lock", ".unfinished"}
    with pytest.raises(DataError, match="none of 1 file below it is a readable DICOM file"):
        predict_studies(root, models, out)
    assert {path.name for path in out.iterdir()} <= {LOG, ".predict.lock"}


def test_the_command_imports_neither_prefect_nor_torch() -> None:
    script = "import sys, lsdc.cli.commands.predict\nprint(*sorted(sys.modules))"
    command = [sys.executable, "-P", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not {"prefect", "torch", "duckdb"} & set(done.stdout.split())
