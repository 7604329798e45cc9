"""`lsdc ensemble` on the command line."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from lsdc.challenges.lumbar.competition.tables import read_labels
from lsdc.challenges.lumbar.report.figures.sources import read_prediction_files
from lsdc.challenges.lumbar.report.page.build import build_report
from lsdc.challenges.lumbar.scoring.metric import score
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADES, LEVELS
from lsdc.cli.commands.ensemble import ensemble
from lsdc.errors import DataError, SettingsError
from tests.challenges.lumbar.ensemble.made import as_member, ids, make_grades, make_values
from tests.challenges.lumbar.report.made_run import assign, make_labels, write_run
from tests.report.reading import read_page

app = typer.Typer()
app.command()(ensemble)
STUDIES = 24


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write train.csv, two files of predictions and a table of folds."""
    folder = tmp_path_factory.mktemp("data")
    grades = make_grades(STUDIES)
    words = [*(grade.in_table for grade in GRADES), None]  # the last for -1
    table = {
        f"{condition}_{level}": [words[grade] for grade in grades[:, c, place]]
        for c, condition in enumerate(CONDITIONS)
        for place, level in enumerate(LEVELS)
    }
    pl.DataFrame({"study_id": ids(STUDIES), **table}).write_csv(folder / "train.csv")
    for seed, name in enumerate(("one", "other")):
        values = make_values(grades, 1.5, seed)
        as_member(name, values).predictions.write_csv(folder / f"{name}.csv")
    folds = pl.DataFrame({"study_id": ids(STUDIES), "fold_id": np.arange(STUDIES) % 4})
    folds.write_csv(folder / "split.csv")
    return folder


def typed(*words: object, columns: int = 80) -> str:
    result = CliRunner().invoke(
        app, [str(word) for word in words], catch_exceptions=False, env={"COLUMNS": str(columns)}
    )
    assert result.exit_code == 0, result.output
    return result.stdout


def as_json(*words: object) -> dict[str, Any]:
    printed: dict[str, Any] = json.loads(typed(*words, "--json"))
    return printed


def both(data: Path) -> list[object]:
    return [data / "one.csv", data / "other.csv", "--data", data]


def test_json_has_the_scores_intervals_and_what_members_add(data: Path) -> None:
    printed = as_json(*both(data), "--out", data / "both.csv")
    expected = score(read_labels(data), pl.read_csv(data / "both.csv")).as_dict()
    assert {part: printed[part] for part in expected} == pytest.approx(expected, abs=1e-12)
    assert printed["intervals"]["score"][0] < printed["score"] < printed["intervals"]["score"][1]
    assert [each["name"] for each in printed["members"]] == ["one", "other"]
    for each in printed["members"]:
        own = score(read_labels(data), pl.read_csv(data / f"{each['name']}.csv"))
        assert each["score"] == pytest.approx(own.score)
        assert each["adds"]["interval"][0] < each["adds"]["score"] < each["adds"]["interval"][1]
    assert printed["gain_over_mean"] == {"score": 0.0, "interval": [0.0, 0.0]}
    assert printed["studies"] == STUDIES


def test_table_fits_80_columns(data: Path) -> None:
    printed = typed(*both(data), "--second-level")
    assert max(map(len, printed.splitlines())) <= 80
    assert "gain over the mean:" in printed
    assert re.search(r"one( +[0-9.]{6}){5}", printed)
    assert re.search(r"one +[0-9.]{6} to [0-9.]{6} +[+-][0-9.]{6} +[+-][0-9.]{6} to", printed)
    assert "not shown" not in printed.replace("not shown: rows;", "")


def test_second_level_is_fitted_on_the_folds_that_are_given(data: Path) -> None:
    given = as_json(*both(data), "--second-level", "--folds", data / "split.csv")
    made = as_json(*both(data), "--second-level")
    assert given["score"] != made["score"]
    assert given["mean"] == made["mean"]


def test_report_shows_the_reliability_of_an_ensemble(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "both.parquet"
    typed(*both(data), "--temperature", "--out", out)
    page = read_page(build_report(read_prediction_files([out], data)))
    curves = page.words.count(", ECE 0.")
    assert curves == len(GRADES) * 3  # canal, foraminal, subarticular


def test_files_with_equal_names_are_told_apart(data: Path, tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_bytes((data / "other.csv").read_bytes())
    printed = as_json(data / "one.csv", tmp_path / "one.csv", "--data", data)
    assert [each["name"] for each in printed["members"]] == [
        str(data / "one.csv"),
        str(tmp_path / "one.csv"),
    ]


def test_runs_are_members_with_their_own_labels_and_folds(tmp_path: Path) -> None:
    write_run(tmp_path)
    write_run(tmp_path, "demo@seed-1", seed=7)
    printed = as_json("demo", "demo@seed-1", "--home", tmp_path, "--weights", "fitted")
    assert [each["name"] for each in printed["members"]] == ["demo", "demo@seed-1"]
    oof = pl.read_parquet(tmp_path / "runs" / "demo" / "oof.parquet")
    labels = oof.rename({"label": "grade"})
    assert printed["members"][0]["score"] == pytest.approx(score(labels, oof).score)


def test_runs_with_other_folds_or_labels_are_refused_by_name(tmp_path: Path) -> None:
    write_run(tmp_path)
    write_run(tmp_path, "demo@folds-2", folds=assign(folds=2))
    write_run(tmp_path, "demo@other", labels=make_labels(seed=5))
    with pytest.raises(DataError, match=r"demo@folds-2: .* in another fold than in demo"):
        typed("demo", "demo@folds-2", "--home", tmp_path)
    with pytest.raises(DataError, match=r"demo@other: .* other labels than demo"):
        typed("demo", "demo@other", "--home", tmp_path)
    with pytest.raises(
        DataError, match=r"nothing: neither a file nor a run .* found the runs demo"
    ):
        typed("demo", "nothing", "--home", tmp_path)


def test_what_cannot_be_combined_is_refused(data: Path) -> None:
    with pytest.raises(SettingsError, match="--second-level takes the place of the mean"):
        typed(*both(data), "--second-level", "--weights", "fitted")
    with pytest.raises(SettingsError, match=r"one\.csv given twice"):
        typed(data / "one.csv", data / "one.csv", "--data", data)
    with pytest.raises(SettingsError, match=r"--out: expected a file \.csv or \.parquet"):
        typed(*both(data), "--out", data / "both.txt")
    with pytest.raises(DataError, match=r"one: no labels.*add --data"):
        typed(data / "one.csv", data / "other.csv")
