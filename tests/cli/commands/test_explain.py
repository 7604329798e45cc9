"""`lsdc explain` on the command line."""

import json
from pathlib import Path

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from lsdc.cli.commands.explain import explain
from lsdc.errors import DataError
from tests.challenges.lumbar.explain.conftest import SmallRun, made_run, same_process, small_run
from tests.challenges.lumbar.report.conftest import results, studies

__all__ = ["made_run", "results", "same_process", "small_run", "studies"]  # fixtures

app = typer.Typer()
app.command()(explain)


def typed(run: SmallRun, *words: object) -> str:
    written = ["--home", run.home.root, "--device", "cpu", *words]
    arguments, wide = list(map(str, written)), {"COLUMNS": "80"}
    done = CliRunner().invoke(app, arguments, env=wide, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_explain_prints_tables_and_writes_a_picture(
    small_run: SmallRun, studies: list[int]
) -> None:
    printed = typed(small_run, studies[-1])  # in a real child process
    *lines, last = printed.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) + 1 < 24  # a line is left for the prompt
    assert lines[:2] == [
        f"Study {studies[-1]} (train), run demo: mean of folds 0, 1",
        "all levels: annotation",
    ]
    picture = small_run.folder / "explain" / f"{studies[-1]}.png"
    assert last == str(picture)
    with Image.open(picture) as image:
        assert image.format == "PNG"


@pytest.mark.usefixtures("same_process")
def test_json_has_every_case_and_the_picture_in_the_folder_asked(
    made_run: SmallRun, studies: list[int], tmp_path: Path
) -> None:
    written = json.loads(typed(made_run, studies[0], "--json", "--out", tmp_path / "new"))
    assert written["fold"] == 0
    assert [len(case["slots"]) for case in written["cases"]] == [25] * 25
    assert written["picture"] == str(tmp_path / "new" / f"{studies[0]}.png")
    assert Path(written["picture"]).is_file()


@pytest.mark.usefixtures("same_process")
def test_what_is_missing_is_named(small_run: SmallRun, studies: list[int], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="study 8: no image in the results of the run"):
        typed(small_run, 8)
    with pytest.raises(DataError, match="no results of a run named dmeo; choose demo"):
        typed(small_run, studies[0], "--run", "dmeo")
    (small_run.folder / "fold-0" / "model.safetensors").unlink()
    with pytest.raises(DataError, match="fold 0 has no model to predict"):
        typed(small_run, studies[0])
    (small_run.folder / "experiment.json").write_text("{}")
    with pytest.raises(DataError, match=r"experiment\.json: expected settings written by this"):
        typed(small_run, studies[0])
