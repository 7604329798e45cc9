"""The submission: every row id in order, whatever was predicted."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.hemorrhage.competition.predictions import check_predictions, read_predictions
from lsdc.challenges.hemorrhage.competition.row_ids import row_ids_of
from lsdc.challenges.hemorrhage.competition.tables import open_competition
from lsdc.challenges.hemorrhage.scoring.prior import label_shares
from lsdc.challenges.hemorrhage.scoring.submission import assemble_submission, write_submission
from lsdc.errors import DataError
from tests.challenges.hemorrhage.made_images import as_long, make_images, make_labels, predict


@pytest.fixture(scope="module")
def images() -> pl.DataFrame:
    return make_images(4, split="test")


@pytest.fixture(scope="module")
def predictions(images: pl.DataFrame) -> pl.DataFrame:
    return predict(make_labels(images))


@pytest.fixture(scope="module")
def wanted(images: pl.DataFrame) -> pl.Series:
    """Return row ids in no order at all."""
    return row_ids_of(images["image_id"]).sample(fraction=1, shuffle=True, seed=8)


@pytest.fixture(scope="module")
def labels() -> pl.DataFrame:
    return make_labels(make_images(6))


def test_every_row_id_is_in_its_place_with_its_prediction(
    images: pl.DataFrame, predictions: pl.DataFrame, wanted: pl.Series, labels: pl.DataFrame
) -> None:
    table, filled = assemble_submission(predictions, wanted, images, label_shares(labels))
    assert table.columns == ["ID", "Label"]
    assert table["ID"].to_list() == wanted.to_list()
    given = dict(as_long(predictions).iter_rows())
    assert table["Label"].to_list() == pytest.approx([given[row_id] for row_id in wanted])
    assert filled.is_empty()


def test_submission_without_predictions_is_the_prior(
    images: pl.DataFrame, predictions: pl.DataFrame, wanted: pl.Series, labels: pl.DataFrame
) -> None:
    shares = label_shares(labels)
    table, filled = assemble_submission(predictions.clear(), wanted, images, shares)
    of_subdural = table.filter(pl.col("ID").str.ends_with("_subdural"))["Label"]
    assert of_subdural.unique().to_list() == pytest.approx([shares["subdural"]])
    assert (table.height, filled.height) == (6 * images.height, images.height)


def test_predictions_that_are_not_asked_for_are_dropped(
    images: pl.DataFrame, predictions: pl.DataFrame, labels: pl.DataFrame
) -> None:
    asked = row_ids_of(images["image_id"][3:5])
    table, _ = assemble_submission(predictions, asked, images, label_shares(labels))
    assert table["ID"].to_list() == asked.to_list()


@pytest.mark.parametrize(
    ("asked", "said"),
    [([], "lists no row id"), (["ID_1_any", "ID_1_some"], r"1 row \(ID_1_some\): expected row")],
)
def test_unusable_sample_submission_is_refused(
    images: pl.DataFrame,
    predictions: pl.DataFrame,
    labels: pl.DataFrame,
    asked: list[str],
    said: str,
) -> None:
    rows = pl.Series(asked, dtype=pl.String)
    with pytest.raises(DataError, match=said):
        assemble_submission(predictions, rows, images, label_shares(labels))


def test_invalid_prediction_is_refused(
    images: pl.DataFrame, predictions: pl.DataFrame, wanted: pl.Series, labels: pl.DataFrame
) -> None:
    bad = predictions.with_columns(any=pl.lit(float("nan")))
    with pytest.raises(DataError, match=r"predictions: \d+ rows .* with NaN"):
        assemble_submission(bad, wanted, images, label_shares(labels))


def test_written_submission_is_read_again_and_lists_what_was_filled(
    images: pl.DataFrame,
    predictions: pl.DataFrame,
    wanted: pl.Series,
    labels: pl.DataFrame,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    out = tmp_path / "submission.csv"
    gap = predictions["image_id"][2]
    given = predictions.filter(pl.col("image_id") != gap)
    elsewhere = images.with_columns(split=pl.lit("train"), series_id=pl.lit("ID_other"))
    both = pl.concat([images, elsewhere.with_columns(order=99 - pl.col("order"))])
    assert write_submission(given, wanted, both, labels, out) == 6 * images.height
    again = check_predictions(read_predictions(out)).sort("image_id")
    assert again["image_id"].equals(images["image_id"].sort())
    kept = again.filter(pl.col("image_id") != gap)
    np.testing.assert_allclose(
        kept.drop("image_id").to_numpy(), given.sort("image_id").drop("image_id").to_numpy()
    )
    [row] = pl.read_parquet(tmp_path / "submission_filled.parquet").rows(named=True)
    assert (row["image_id"], row["filled_by"]) == (gap, "neighbours")
    assert f"no model predicted 1 image (the first: {gap}" in caplog.text


def test_real_sample_submission_is_filled_in_its_order(real_data: Path) -> None:
    competition = open_competition(real_data / "hemorrhage")
    nothing = make_images(1, split="test").clear()
    table, filled = assemble_submission(
        predict(competition.labels).clear(),
        competition.row_ids,
        nothing,
        label_shares(competition.labels),
    )
    sample = pl.read_csv(real_data / "hemorrhage" / "stage_2_sample_submission.csv")
    assert table["ID"].to_list() == sample["ID"].to_list()
    assert filled["why"].unique().to_list() == ["it has no usable file"]
