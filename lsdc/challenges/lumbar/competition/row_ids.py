"""Make and split row ids, `{study_id}_{condition}_{level}`."""

import polars as pl

from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS
from lsdc.errors import DataError
from lsdc.messages import first_few

_PATTERN = (
    rf"^0*(?<study_id>[0-9]{{1,18}})_(?<condition>{'|'.join(CONDITIONS)})"
    rf"_(?<level>{'|'.join(LEVELS)})$"
)


def row_id() -> pl.Expr:
    """Return an expression for the row id of a row with study_id, condition and level."""
    return pl.format("{}_{}_{}", "study_id", "condition", "level").alias("row_id")


def with_row_id(frame: pl.DataFrame) -> pl.DataFrame:
    """Add row_id as the frame's first column, unless it exists."""
    if "row_id" in frame.columns:
        return frame.select("row_id", pl.exclude("row_id"))
    return frame.select(row_id(), pl.all())


def without_zeros(row_ids: pl.Expr) -> pl.Expr:
    """Remove leading zeros from row ids, as `row_id` makes them: 007_... becomes 7_..."""
    return row_ids.str.replace(r"^0+([0-9])", "$1")


def split_row_ids(row_ids: pl.Series, source: str) -> pl.DataFrame:
    """Split row ids into study_id (i64), condition and level, in the same order.

    Raises:
        DataError: an id is malformed, or its condition or level does not exist.

    >>> split_row_ids(pl.Series(["007_spinal_canal_stenosis_l4_l5"]), "sample.csv").row(0)
    (7, 'spinal_canal_stenosis', 'l4_l5')
    """
    parts = row_ids.rename("row_id").to_frame()
    parts = parts.with_columns(pl.col("row_id").str.extract_groups(_PATTERN).alias("part"))
    bad = parts.filter(pl.col("part").struct.field("level").is_null())["row_id"].fill_null(
        "(empty)"
    )
    if len(bad):
        raise DataError(
            f"{source}: {first_few(bad)}: expected row ids like 123_{CONDITIONS[0]}_{LEVELS[0]}, "
            "made of a study (at most 18 digits), a known condition and a known level; correct the "
            "row_id column"
        )
    return parts.select(pl.col("part").struct.unnest()).cast({"study_id": pl.Int64})
