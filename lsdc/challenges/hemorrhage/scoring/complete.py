"""Predictions of all images that are asked for: with those that no model predicted, none certain.

A model predicts no image whose file cannot be read. Neighbouring slices mostly share labels, so
such an image is predicted as the mean of the nearest predicted slices before and after it, and by
the prior if its series has none.

Probabilities are kept 1e-6 away from 0 and 1. A certain error costs ln 1e15 = 34.5 in the metric,
and then 13.8, while right predictions lose 1e-6 at most. This pays as soon as one certain
prediction in 20 million is wrong, and labels are wrong more often. Sigmoids are rounded to 0 or 1
in single precision.
"""

import logging

import dataframely as dy
import polars as pl

from lsdc.challenges.hemorrhage import columns
from lsdc.challenges.hemorrhage.competition.predictions import PROBABILITIES
from lsdc.challenges.hemorrhage.scoring.prior import predict_prior
from lsdc.messages import counted
from lsdc.tables.table import Table, one_of

log = logging.getLogger(__name__)

LEAST = 1e-6  # the smallest probability, and the smallest of its complement
_SERIES = ["study_id", "series_id"]


class Filled(Table):
    """One row per image that no model predicted, with what was predicted instead."""

    image_id = columns.image(primary_key=True)
    filled_by = dy.String(
        check=one_of(["neighbours", "prior"]), description="neighbours (their mean) or prior."
    )
    before = dy.String(
        nullable=True, description="The nearest predicted image before it in its series, if any."
    )
    after = dy.String(
        nullable=True, description="The nearest predicted image after it in its series, if any."
    )
    why = dy.String(description="Why there is no prediction of the image, and none better.")


def complete(
    wanted: pl.Series, predictions: pl.DataFrame, images: pl.DataFrame, shares: dict[str, float]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return predictions of all wanted images.

    Args:
        wanted: their ids, each once.
        predictions: image_id and the probabilities, checked; of further images, too, which are the
            neighbours of wanted ones.
        images: image_id, study_id, series_id and order (along the series) of the usable images of
            the split, each once.
        shares: the prior, as `label_shares` returns it.

    Returns:
        image_id and the probabilities, none nearer to 0 and 1 than LEAST, in the order of `wanted`;
        and `Filled`, in that order, too.
    """
    asked = wanted.alias("image_id").to_frame()
    given = predictions.select("image_id", *PROBABILITIES)
    gaps = asked.join(given, on="image_id", how="anti", maintain_order="left")
    filled = _with_neighbours(gaps, given, images)
    prior = predict_prior(filled["image_id"], shares)
    sides = [
        filled.select(pl.col(side).alias("image_id")).join(
            given, on="image_id", how="left", maintain_order="left"
        )
        for side in ("before", "after")
    ]
    means = filled.select("image_id").with_columns(
        pl.mean_horizontal(sides[0][name], sides[1][name]).fill_null(prior[name]).alias(name)
        for name in PROBABILITIES
    )
    both = pl.concat([given.cast(dict.fromkeys(PROBABILITIES, pl.Float64)), means])
    found = asked.join(both, on="image_id", how="left", maintain_order="left")
    return found.with_columns(pl.col(PROBABILITIES).clip(LEAST, 1 - LEAST)), filled


def warn_of_filled(stage: str, filled: pl.DataFrame) -> None:
    """Log how many images no model predicted, and what was used instead.

    Args:
        stage: the name of the stage.
        filled: `Filled`.
    """
    for by, what in (("neighbours", "the mean of their neighbours"), ("prior", "the prior")):
        rows = filled.filter(filled_by=by)
        if rows.height:
            log.warning(
                "%s: no model predicted %s (the first: %s, %s); %s is used instead",
                stage,
                counted(rows.height, "image"),
                rows["image_id"][0],
                rows["why"][0],
                what,
            )


def _with_neighbours(gaps: pl.DataFrame, given: pl.DataFrame, images: pl.DataFrame) -> pl.DataFrame:
    """Return `Filled` for the images of `gaps`, in their order."""
    series = images.join(gaps, on="image_id", how="semi").select(_SERIES).unique()
    known = given.select("image_id", predicted="image_id")
    placed = (
        images.join(series, on=_SERIES, how="semi")
        .join(known, on="image_id", how="left")
        .sort(*_SERIES, "order", "image_id")
        .select(
            "image_id",
            before=pl.col("predicted").forward_fill().over(_SERIES),
            after=pl.col("predicted").backward_fill().over(_SERIES),
            listed=True,
        )
    )
    rows = gaps.join(placed, on="image_id", how="left", maintain_order="left")
    has_neighbour = pl.col("before").is_not_null() | pl.col("after").is_not_null()
    return rows.select(
        "image_id",
        filled_by=pl.when(has_neighbour).then(pl.lit("neighbours")).otherwise(pl.lit("prior")),
        before="before",
        after="after",
        why=pl.when(pl.col("listed").is_null())
        .then(pl.lit("it has no usable file"))
        .when(has_neighbour)
        .then(pl.lit("its pixels were not predicted"))
        .otherwise(pl.lit("no image of its series was predicted")),
    )
