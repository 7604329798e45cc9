"""Bad input: an error of one line, exit code 2, no traceback, no partial results."""

import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch
from typer.testing import CliRunner

from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.cli.app import app
from lsdc.errors import LsdcError, SettingsError
from tasks.dispatch import require_device_here
from tasks.request import RunRequest
from tasks.run import open_run


@pytest.fixture
def copy(phantom: Path, tmp_path: Path) -> Path:
    """Copy the phantom's tables and images, to be damaged by a test."""
    root = tmp_path / "competition"
    shutil.copytree(phantom, root)
    return root


def refuse(*arguments: str | Path) -> LsdcError:
    """Run the command in this process and return its error."""
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert isinstance(result.exception, LsdcError), result.output
    assert "\n" not in str(result.exception)
    return result.exception


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--folds", "1"], "--folds 1: expected integer >= 2"),
        (["--only-fold", "4"], r"--only-fold 4: expected 0 to 3"),
        (["--experiment", "dmeo"], "did you mean 'demo'"),
        (["--data", "/nowhere"], "/nowhere: no such folder"),
    ],
)
def test_settings_are_checked_before_anything_starts(
    arguments: list[str], said: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    error = refuse("run-local", "--home", home, *arguments)
    assert error.exit_code == 2
    assert said in str(error)
    assert not (home / "runs").exists()
    assert not (home / "prefect").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_missing_gpu_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    home = tmp_path / "home"
    error = refuse("run-local", "--data", "/nowhere", "--home", home, "--device", "cuda")
    assert error.exit_code == 2
    assert "device: 'cuda' cannot be used here" in str(error)
    assert not home.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_flow_refuses_a_missing_gpu_unless_other_workers_train(
    phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = open_run(
        LumbarRun,
        RunRequest.of(
            experiment="demo", data=phantom, home=tmp_path / "home", folds=2, device="cuda"
        ),
    )
    with pytest.raises(SettingsError, match="use --device cpu, or auto"):
        require_device_here(run)
    monkeypatch.setattr("tasks.dispatch.trains_on_gpu_pool", lambda: True)
    require_device_here(run)


def test_missing_table_is_named(copy: Path, tmp_path: Path) -> None:
    (copy / "train_series_descriptions.csv").unlink()
    error = refuse("run-local", "--data", copy, "--home", tmp_path / "home")
    assert "train_series_descriptions.csv" in str(error)


def test_renamed_column_is_named_with_the_closest_match(copy: Path, tmp_path: Path) -> None:
    path = copy / "train_series_descriptions.csv"
    pl.read_csv(path).rename({"series_description": "series_descr"}).write_csv(path)
    error = refuse("run-local", "--data", copy, "--home", tmp_path / "home")
    assert "series_description" in str(error)
    assert "series_descr" in str(error)


def test_folder_that_is_not_a_home_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("dear")
    error = refuse("run-local", "--home", tmp_path)
    assert "letters.txt" in str(error)
    assert [entry.name for entry in tmp_path.iterdir()] == ["letters.txt"]


def test_more_folds_than_studies_are_refused_before_anything_starts(
    phantom: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    error = refuse("run-local", "--data", phantom, "--home", home, "--folds", "7")
    assert error.exit_code == 2
    assert "7 folds need at least as many studies, found 6" in str(error)
    assert not (home / "prefect").exists()


def test_model_that_cannot_be_trained_is_refused_before_anything_is_prepared(
    phantom: Path, tmp_path: Path, command: Callable
) -> None:
    home, name = tmp_path / "home", "model.backbone=resnet19"
    outcome = command("run-local", "--data", phantom, "--home", home, "--set", name)
    assert outcome.code == 2
    assert "timm has no model 'resnet19'; did you mean" in outcome.err
    assert outcome.err.count("\n") == 1
    assert not any((home / made).exists() for made in ("index", "coordinates", "crops"))


def test_missing_folds_of_a_required_experiment_are_refused_before_preparing(
    tmp_path: Path, command: Callable
) -> None:
    home = tmp_path / "home"
    outcome = command("run-local", "--experiment", "exp178", "--home", home)
    assert outcome.code == 1
    assert "needs.labels needs it; run experiment exp114 first" in outcome.err
    assert not (home / "phantom").exists()


def test_real_tables_are_refused_only_for_too_few_studies(
    real_data: Path, tmp_path: Path, command: Callable
) -> None:
    asked = ("--data", real_data / "competition", "--experiment", "demo")
    outcome = command("run-local", *asked, "--home", tmp_path / "home")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert "4 folds need at least as many studies, found 1" in outcome.err


def test_second_run_in_a_busy_home_is_refused_with_no_wait(
    phantom: Path, tmp_path: Path, command: Callable
) -> None:
    from lsdc.store.home import build_lock, open_home

    home = open_home(tmp_path / "home")
    with build_lock(home, wait=True, say=print):
        outcome = command("run-local", "--data", phantom, "--home", home.root, "--no-wait")
    assert outcome.code == 3
    assert "is using this home" in outcome.err
