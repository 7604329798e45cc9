"""`lsdc report` on the command line."""

from pathlib import Path

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from lsdc.challenges.lumbar.competition.tables import read_labels
from lsdc.challenges.lumbar.scoring.metric import score
from lsdc.challenges.lumbar.scoring.prior import weighted_prior
from lsdc.cli.commands.report import report
from lsdc.errors import LsdcError
from lsdc.store.home import Home
from tests.challenges.lumbar.report.made_run import predict, write_run
from tests.report.reading import read_page

app = typer.Typer()
app.command()(report)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return write_run(tmp_path_factory.mktemp("home"))


def typed(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


def test_report_of_a_run_is_named_after_it_and_says_why_it_has_no_images(
    home: Home, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "folder" / "demo-report.html"
    assert typed("demo", "--home", home.root, "--out", path.parent) == str(path)
    page = read_page(path.read_text(encoding="utf-8"))
    assert page.cases["labels"]
    assert "The images could not be drawn: run demo: " in page.words
    typed("demo", "--home", home.root, "--out", path.parent, "--images", 0)
    words = read_page(path.read_text(encoding="utf-8")).words
    assert "could not be drawn" not in words
    assert "'lsdc report demo' writes the report with images" in words


def test_report_of_predictions_has_their_score_and_no_folds(phantom: Path, tmp_path: Path) -> None:
    labels, files = read_labels(phantom), []
    for number, rows in enumerate((predict(labels, 5), weighted_prior(labels))):
        files.append(tmp_path / f"model-{number}.csv")
        rows.write_csv(files[-1])
    asked = [word for file in files for word in ("--predictions", file)]
    path = Path(typed(*asked, "--data", phantom, "--out", tmp_path))
    assert path.name == "model-0-model-1-report.html"
    page = read_page(path.read_text(encoding="utf-8"))
    assert f"{score(labels, predict(labels, 5)).score:.4f}" in page.words
    assert [run["name"] for run in page.cases["runs"]] == ["model-0", "model-1"]
    assert [facet["word"] for facet in page.cases["facets"]] == ["condition", "level"]
    assert "Training" not in page.words


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "found neither"),
        (["demo", "--predictions", "a.csv"], "found both"),
        (["--predictions", "a.csv"], "--predictions: expected --data as well"),
        (["demo", "--data", "x"], "--data: only used with --predictions"),
        (["demo", "demo"], "run demo given twice"),
        (["demo", "other"], "no run 'other', found demo, empty"),
        (["empty"], "no oof.parquet and scores.json"),
        (["demo", "--out", "page.html"], "--out page.html: expected a folder, got the name of a"),
        (["demo", "--out", __file__], "expected a folder"),
    ],
)
def test_what_cannot_be_reported_is_refused_by_name(
    words: list[str], message: str, home: Home
) -> None:
    home.run("empty").mkdir(exist_ok=True)
    with pytest.raises(LsdcError) as refused:
        CliRunner().invoke(app, [*words, "--home", str(home.root)], catch_exceptions=False)
    assert message in str(refused.value)


def test_missing_prediction_is_named(phantom: Path, tmp_path: Path) -> None:
    labels = read_labels(phantom)
    lost = labels.drop_nulls("grade").row(3, named=True)
    rows = predict(labels, 5).filter(
        pl.col("row_id") != f"{lost['study_id']}_{lost['condition']}_{lost['level']}"
    )
    rows.write_csv(tmp_path / "a.csv")
    with pytest.raises(LsdcError, match=f"a: 1 row .{lost['study_id']}_.*missing"):
        typed("--predictions", tmp_path / "a.csv", "--data", phantom, "--out", tmp_path)
    assert list(tmp_path.glob("*.html")) == []
