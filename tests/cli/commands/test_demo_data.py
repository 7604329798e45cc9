"""`lsdc demo-data` writes a phantom and refuses to write over anything."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from lsdc.cli.commands.demo_data import demo_data
from lsdc.errors import LsdcError


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command()(demo_data)
    return app


def test_demo_data_writes_the_requested_studies(app: typer.Typer, tmp_path: Path) -> None:
    out = tmp_path / "data"
    options = ["--studies", "2", "--test", "1", "--seed", "7", "--grades", "real"]
    options += ["--geometry", "hard", "--max-size", "32"]
    result = CliRunner().invoke(app, [str(out), *options])
    assert result.exit_code == 0, result.output
    assert len(list((out / "train_images").iterdir())) == 2
    assert len(list((out / "test_images").iterdir())) == 1
    assert str(out) in result.output


def test_folder_with_files_is_refused_and_named(app: typer.Typer, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    result = CliRunner().invoke(app, [str(tmp_path)])
    assert isinstance(result.exception, LsdcError)
    assert result.exception.exit_code == 2
    assert str(tmp_path) in str(result.exception)


def test_oddities_of_the_head_phantom_can_be_left_out(app: typer.Typer, tmp_path: Path) -> None:
    words = ["--challenge", "hemorrhage", "--studies", "5", "--test", "0", "--size", "32"]
    words += ["--fewest-slices", "6", "--most-slices", "6"]
    for flags in (["--no-quirks"], []):
        out = tmp_path / f"data{len(flags)}"
        result = CliRunner().invoke(app, [str(out), *words, *flags])
        assert result.exit_code == 0, result.output
        planted = len((out / "answers" / "quirks.csv").read_text().splitlines()) - 1
        assert bool(planted) is not bool(flags)
