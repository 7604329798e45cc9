"""The prior: the best constant, and out of fold without the fold's own labels."""

import polars as pl
import pytest

from lsdc.challenges.hemorrhage.scoring.metric import PARTS, score
from lsdc.challenges.hemorrhage.scoring.prior import (
    constant_prior,
    label_shares,
    out_of_fold_prior,
)
from tests.challenges.hemorrhage.made_images import make_images, make_labels


@pytest.fixture(scope="module")
def labels() -> pl.DataFrame:
    return make_labels(make_images(12), bleeding=0.8)


def dealt(labels: pl.DataFrame, folds: int = 3) -> pl.DataFrame:
    return labels.select("image_id", fold=pl.int_range(pl.len(), dtype=pl.Int32) % folds)


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_share_of_each_label_is_its_best_constant(labels: pl.DataFrame, factor: float) -> None:
    prior = constant_prior(labels)
    best = score(labels, prior).as_dict()
    beside = score(labels, prior.with_columns(pl.col(PARTS) * factor)).as_dict()
    assert all(best[part] < beside[part] for part in PARTS if labels[part].max())


def test_out_of_fold_prior_is_the_smoothed_share_of_the_other_folds(labels: pl.DataFrame) -> None:
    folds = dealt(labels)
    predicted = out_of_fold_prior(labels, folds)
    assert sorted(predicted["image_id"]) == sorted(labels["image_id"])
    others = labels.join(folds.filter(pl.col("fold") != 1), on="image_id")
    expected = (others["subdural"].sum() + 0.5) / (others.height + 1)
    own = predicted.join(folds.filter(fold=1), on="image_id")
    assert own["subdural"].to_list() == pytest.approx([expected] * own.height)


def test_out_of_fold_prior_ignores_labels_of_its_own_fold(labels: pl.DataFrame) -> None:
    folds = dealt(labels)
    first = folds.filter(fold=0).select("image_id")
    turned = labels.with_columns(
        pl.when(pl.col("image_id").is_in(first["image_id"].implode()))
        .then(1 - pl.col(part))
        .otherwise(pl.col(part))
        .alias(part)
        for part in PARTS
    )
    before, after = out_of_fold_prior(labels, folds), out_of_fold_prior(turned, folds)
    own = {"on": "image_id", "how": "semi"}
    assert after.join(first, **own).equals(before.join(first, **own))
    assert not after.equals(before)


def test_label_that_no_image_has_gets_a_small_probability(labels: pl.DataFrame) -> None:
    without = labels.with_columns(epidural=pl.lit(0, pl.Int8))
    assert label_shares(without)["epidural"] == 0
    assert label_shares(without, 0.5)["epidural"] == 0.5 / (labels.height + 1)
