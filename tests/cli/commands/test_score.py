"""`lsdc score` on the command line."""

import json
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.competition.row_ids import with_row_id
from lsdc.challenges.lumbar.competition.tables import read_labels
from lsdc.challenges.lumbar.scoring.metric import score as score_predictions
from lsdc.challenges.lumbar.scoring.prior import weighted_prior
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADES, LEVELS
from lsdc.cli.commands.score import score
from lsdc.errors import DataError

app = typer.Typer()
app.command()(score)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder with only `train.csv`."""
    generator = np.random.default_rng(0)
    words = [grade.in_table for grade in GRADES]
    table = {
        f"{c}_{lv}": [words[n] for n in generator.integers(3, size=4)]
        for c in CONDITIONS
        for lv in LEVELS
    }
    pl.DataFrame({"study_id": [1, 2, 3, 4], **table}).write_csv(tmp_path / "train.csv")
    return tmp_path


@pytest.fixture
def predictions(data: Path) -> pl.DataFrame:
    rows = with_row_id(read_labels(data))
    values = np.random.default_rng(1).dirichlet((1, 1, 1), rows.height)
    return rows.select("row_id").hstack(pl.DataFrame(values, schema=list(PROBABILITIES)))


def typed(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_json_has_the_score_and_its_parts(data: Path, predictions: pl.DataFrame) -> None:
    predictions.write_csv(data / "given.csv")
    printed = json.loads(typed(data / "given.csv", "--data", data, "--json"))
    labels = read_labels(data)
    prior = score_predictions(labels, weighted_prior(labels)).as_dict()
    assert printed.pop("weighted_prior") == prior
    assert printed == score_predictions(labels, predictions).as_dict()
    assert list(printed) == ["score", "spinal", "foraminal", "subarticular", "any_severe_spinal"]


def test_table_shows_the_prior(data: Path, predictions: pl.DataFrame) -> None:
    predictions.write_csv(data / "given.csv")
    printed = typed(data / "given.csv", "--data", data)
    assert "weighted prior" in printed
    assert f"{score_predictions(read_labels(data), predictions).score:.6f}" in printed


def test_parquet_with_other_columns_is_accepted(data: Path, predictions: pl.DataFrame) -> None:
    predictions.with_columns(fold=pl.lit(0)).write_parquet(data / "oof.parquet")
    printed = json.loads(typed(data / "oof.parquet", "--data", data, "--json"))
    assert printed["score"] == score_predictions(read_labels(data), predictions).score


def test_error_names_the_file_and_exits_with_code_2(data: Path, predictions: pl.DataFrame) -> None:
    path = data / "given.csv"
    predictions.slice(1).write_csv(path)
    with pytest.raises(DataError, match=r"given\.csv: 1 row .* missing of 100") as caught:
        typed(path, "--data", data, "--json")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["nothing.csv", "nothing.parquet", "broken.parquet"])
def test_unreadable_predictions_are_named(data: Path, name: str) -> None:
    (data / "broken.parquet").write_bytes(b"PAR0")
    with pytest.raises(DataError, match=name.replace(".", r"\.")):
        typed(data / name, "--data", data)


def test_missing_folder_is_named(data: Path, predictions: pl.DataFrame) -> None:
    predictions.write_csv(data / "given.csv")
    with pytest.raises(DataError, match="elsewhere: no such folder"):
        typed(data / "given.csv", "--data", data / "elsewhere")


@pytest.mark.skipif("LSDC_REAL_DATA" not in os.environ, reason="LSDC_REAL_DATA is not set")
def test_score_of_a_published_model_on_the_real_labels() -> None:
    real = Path(os.environ["LSDC_REAL_DATA"])
    expected = json.loads((real / "oof" / "expected_scores.json").read_text(encoding="utf-8"))
    name = "fourth_place_swin_t_oof"
    table = real / "oof" / f"{name}.csv"
    printed = json.loads(typed(table, "--data", real / "competition", "--json"))
    assert printed.pop("weighted_prior")["score"] > printed["score"]
    assert printed == pytest.approx(expected[name], abs=1e-9, rel=0)


def test_parquet_is_recognised_by_its_content(
    data: Path, predictions: pl.DataFrame, tmp_path: Path
) -> None:
    predictions.write_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.parquet").rename(tmp_path / "predictions.CSV")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1")
    read = typed(tmp_path / "predictions.CSV", "--data", data, "--json")
    assert json.loads(read)["score"] == score_predictions(read_labels(data), predictions).score
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        typed(tmp_path / "cut.parquet", "--data", data)


def test_row_ids_with_leading_zeros_match_the_labels(
    data: Path, predictions: pl.DataFrame, tmp_path: Path
) -> None:
    predictions.with_columns("00" + pl.col("row_id")).write_csv(tmp_path / "zeros.csv")
    read = typed(tmp_path / "zeros.csv", "--data", data, "--json")
    expected = score_predictions(read_labels(data), predictions).score
    assert json.loads(read)["score"] == pytest.approx(expected)
