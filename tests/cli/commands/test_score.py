"""`lsdc score` as it is typed."""

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
    """A folder with `train.csv` and nothing else."""
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


def test_json_holds_the_score_and_its_parts(data: Path, predictions: pl.DataFrame) -> None:
    predictions.write_csv(data / "given.csv")
    printed = json.loads(typed(data / "given.csv", "--data", data, "--json"))
    labels = read_labels(data)
    prior = score_predictions(labels, weighted_prior(labels)).as_dict()
    assert printed.pop("weighted_prior") == prior
    assert printed == score_predictions(labels, predictions).as_dict()
    assert list(printed) == ["score", "spinal", "foraminal", "subarticular", "any_severe_spinal"]


def test_a_table_shows_the_prior_beside(data: Path, predictions: pl.DataFrame) -> None:
    predictions.write_csv(data / "given.csv")
    printed = typed(data / "given.csv", "--data", data)
    assert "weighted prior" in printed
    assert f"{score_predictions(read_labels(data), predictions).score:.6f}" in printed


def test_parquet_with_further_columns_is_taken(data: Path, predictions: pl.DataFrame) -> None:
    predictions.with_columns(fold=pl.lit(0)).write_parquet(data / "oof.parquet")
    printed = json.loads(typed(data / "oof.parquet", "--data", data, "--json"))
    assert printed["score"] == score_predictions(read_labels(data), predictions).score


def test_a_fault_names_the_file_and_ends_with_code_2(data: Path, predictions: pl.DataFrame) -> None:
    path = data / "given.csv"
    predictions.slice(1).write_csv(path)
    with pytest.raises(DataError, match=r"given\.csv: 1 row .* missing of 100") as caught:
        typed(path, "--data", data, "--json")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["nothing.csv", "nothing.parquet", "broken.parquet"])
def test_predictions_that_cannot_be_read_are_named(data: Path, name: str) -> None:
    (data / "broken.parquet").write_bytes(b"PAR0")
    with pytest.raises(DataError, match=name.replace(".", r"\.")):
        typed(data / name, "--data", data)


def test_a_folder_that_is_not_there_is_named(data: Path, predictions: pl.DataFrame) -> None:
    predictions.write_csv(data / "given.csv")
    with pytest.raises(DataError, match="elsewhere: no such folder"):
        typed(data / "given.csv", "--data", data / "elsewhere")


@pytest.mark.skipif("LSDC_REAL_DATA" not in os.environ, reason="LSDC_REAL_DATA is not set")
def test_a_published_models_score_on_the_real_labels() -> None:
    real = Path(os.environ["LSDC_REAL_DATA"])
    expected = json.loads((real / "oof" / "expected_scores.json").read_text(encoding="utf-8"))
    name = "fourth_place_swin_t_oof"
    table = real / "oof" / f"{name}.csv"
    printed = json.loads(typed(table, "--data", real / "competition", "--json"))
    assert printed.pop("weighted_prior")["score"] > printed["score"]
    assert printed == pytest.approx(expected[name], abs=1e-9, rel=0)


def test_a_parquet_file_is_known_by_what_it_holds(
    data: Path, predictions: pl.DataFrame, tmp_path: Path
) -> None:
    predictions.write_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.parquet").rename(tmp_path / "predictions.CSV")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1")
    read = typed(tmp_path / "predictions.CSV", "--data", data, "--json")
    assert json.loads(read)["score"] == score_predictions(read_labels(data), predictions).score
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        typed(tmp_path / "cut.parquet", "--data", data)


def test_row_ids_whose_studies_lead_with_zeros_are_those_of_the_labels(
    data: Path, predictions: pl.DataFrame, tmp_path: Path
) -> None:
    predictions.with_columns("00" + pl.col("row_id")).write_csv(tmp_path / "zeros.csv")
    read = typed(tmp_path / "zeros.csv", "--data", data, "--json")
    expected = score_predictions(read_labels(data), predictions).score
    assert json.loads(read)["score"] == pytest.approx(expected)
