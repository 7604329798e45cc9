"""Row ids, `{study_id}_{condition}_{level}`: made, split, and named in messages."""

import polars as pl

from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS
from lsdc.errors import DataError

_PATTERN = (
    rf"^0*(?<study_id>[0-9]{{1,18}})_(?<condition>{'|'.join(CONDITIONS)})"
    rf"_(?<level>{'|'.join(LEVELS)})$"
)


def row_id() -> pl.Expr:
    """The row id of a row that has study_id, condition and level."""
    return pl.format("{}_{}_{}", "study_id", "condition", "level").alias("row_id")


def with_row_id(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with row_id as its first column; an existing one is kept."""
    if "row_id" in frame.columns:
        return frame.select("row_id", pl.exclude("row_id"))
    return frame.select(row_id(), pl.all())


def without_zeros(row_ids: pl.Expr) -> pl.Expr:
    """Row ids as `row_id` makes them, whose studies are numbers: 007_... is 7_..."""
    return row_ids.str.replace(r"^0+([0-9])", "$1")


def split_row_ids(row_ids: pl.Series, source: str) -> pl.DataFrame:
    """Take row ids apart into study_id (i64), condition and level, in the same order.

    Raises:
        DataError: an id of another form, or of a condition or level that does not exist.
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


def first_few(names: pl.Series, shown: int = 3) -> str:
    """How messages name rows: the count and the first of them."""
    listed = ", ".join(str(name) for name in names.head(shown))
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return f"{len(names)} row{'s' if len(names) != 1 else ''} ({listed}{more})"
