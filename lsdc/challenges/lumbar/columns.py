"""Columns that several of the challenge's tables have, and what follows from their values."""

import dataframely as dy
import polars as pl

from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS
from lsdc.tables.table import one_of

WORLD = "The point in mm in the patient's space (LPS: +x left, +y back, +z head)."
PIXEL = "Position of the point on the image: x is the column, y the row."
SOURCES = ("predicted", "annotated", "filled")

# From the column `level`, its place from the top, from 0; from `condition`, its kind, its side and
# the kind of series that shows it.
LEVEL_NUMBER = pl.col("level").replace_strict(
    {str(level): number for number, level in enumerate(LEVELS)}, return_dtype=pl.Int64
)
KIND = pl.col("condition").replace_strict(
    {str(each): each.pooled for each in CONDITIONS}, return_dtype=pl.String
)
SIDE = pl.col("condition").replace_strict(
    {str(each): each.side for each in CONDITIONS}, return_dtype=pl.String
)
SHOWN_ON = pl.col("condition").replace_strict(
    {str(each): each.shown_on for each in CONDITIONS}, return_dtype=pl.String
)


def split(*, primary_key: bool = False) -> dy.String:
    """Return the column with a study's split."""
    check = one_of(["train", "test"])
    return dy.String(primary_key=primary_key, check=check, description="train or test.")


def study(*, primary_key: bool = False) -> dy.Int64:
    """Return the column with a study's id."""
    return dy.Int64(primary_key=primary_key, description="Id of the study.")


def series() -> dy.Int64:
    """Return the column with a series' id."""
    return dy.Int64(description="Id of the series.")


def image() -> dy.Int64:
    """Return the column with an image's number."""
    return dy.Int64(description="Number of the image in its series.")


def condition(*, primary_key: bool = False) -> dy.String:
    """Return the column with a condition."""
    about = "One of the five graded conditions."
    return dy.String(primary_key=primary_key, check=one_of(CONDITIONS), description=about)


def level(*, primary_key: bool = False) -> dy.String:
    """Return the column with a level."""
    about = "Disc level: l1_l2, l2_l3, l3_l4, l4_l5 or l5_s1."
    return dy.String(primary_key=primary_key, check=one_of(LEVELS), description=about)


def confidence() -> dy.Float64:
    """Return the column with a point's confidence."""
    about = "Confidence of the model in the point, 0 to 1; 1 for annotated points."
    return dy.Float64(min=0, max=1.001, description=about)  # sums of weights are rounded


def source() -> dy.String:
    """Return the column with a point's source."""
    about = "predicted (by a model), annotated, or filled (computed from other levels or studies)."
    return dy.String(check=one_of(SOURCES), description=about)
