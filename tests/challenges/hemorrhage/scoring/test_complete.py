"""Images that no model predicted: filled by their neighbours, else by the prior, and listed."""

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.hemorrhage.competition.predictions import PROBABILITIES
from lsdc.challenges.hemorrhage.scoring.complete import LEAST, Filled, complete
from tests.challenges.hemorrhage.made_images import predict

PRIOR = dict.fromkeys(PROBABILITIES, 0.125)


@pytest.fixture
def images() -> pl.DataFrame:
    """Return two series of five slices, a to e and v to z, in another order of rows."""
    rows = [
        {"image_id": name, "study_id": "ID_1", "series_id": series, "order": order}
        for series, names in (("ID_s", "abcde"), ("ID_t", "vwxyz"))
        for order, name in enumerate(names)
    ]
    return pl.DataFrame(rows).sample(fraction=1, shuffle=True, seed=3)


@pytest.fixture
def predictions(images: pl.DataFrame) -> pl.DataFrame:
    labels = images.select("image_id", *(pl.lit(0).alias(name) for name in PROBABILITIES))
    return predict(labels)


def values(table: pl.DataFrame, *names: str) -> np.ndarray:
    rows = [table.filter(image_id=name).row(0)[1:] for name in names]
    return np.array(rows)


def without(predictions: pl.DataFrame, names: str) -> pl.DataFrame:
    return predictions.filter(~pl.col("image_id").is_in(list(names)))


@pytest.mark.parametrize(
    ("gone", "before", "after"),
    [
        ("c", "b", "d"),
        ("cd", "b", "e"),  # the nearest that is predicted
        ("ab", None, "c"),
        ("bcde", "a", None),
    ],
)
def test_image_is_filled_by_the_nearest_predicted_ones_of_its_series(
    images: pl.DataFrame,
    predictions: pl.DataFrame,
    gone: str,
    before: str | None,
    after: str | None,
) -> None:
    wanted = pl.Series([gone[0], "v", gone[-1]]).unique(maintain_order=True)
    found, filled = complete(wanted, without(predictions, gone), images, PRIOR)
    Filled.check(filled)
    assert found["image_id"].to_list() == wanted.to_list()
    for name in {gone[0], gone[-1]}:
        expected = values(predictions, *filter(None, (before, after))).mean(axis=0)
        np.testing.assert_allclose(values(found, name)[0], expected, rtol=1e-12)
        row = filled.filter(image_id=name).row(0, named=True)
        assert (row["filled_by"], row["before"], row["after"]) == ("neighbours", before, after)
    np.testing.assert_allclose(values(found, "v"), values(predictions, "v"))


def test_series_without_predictions_and_unknown_images_get_the_prior(
    images: pl.DataFrame, predictions: pl.DataFrame
) -> None:
    wanted = pl.Series(["x", "unread", "a"])
    found, filled = complete(wanted, without(predictions, "vwxyz"), images, PRIOR)
    assert filled.select("image_id", "filled_by", "why").rows() == [
        ("x", "prior", "no image of its series was predicted"),
        ("unread", "prior", "it has no usable file"),
    ]
    np.testing.assert_allclose(values(found, "x", "unread"), 0.125)
    np.testing.assert_allclose(values(found, "a"), values(predictions, "a"))


def test_nothing_is_filled_if_all_is_predicted(
    images: pl.DataFrame, predictions: pl.DataFrame
) -> None:
    wanted = predictions["image_id"].sort()
    found, filled = complete(wanted, predictions, images, PRIOR)
    Filled.check(filled)
    assert filled.is_empty()
    assert found.equals(predictions.sort("image_id"))


def test_certain_predictions_are_kept_off_0_and_1(
    images: pl.DataFrame, predictions: pl.DataFrame
) -> None:
    certain = predictions.with_columns(any=pl.lit(1.0), epidural=pl.lit(0.0))
    found, _ = complete(certain["image_id"], certain, images, PRIOR)
    assert found["any"].unique().to_list() == [1 - LEAST]
    assert found["epidural"].unique().to_list() == [LEAST]
