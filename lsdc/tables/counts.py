"""Counts for the report of data checks: how often each value occurs, how large series are."""

from typing import Any

import polars as pl


def tally(table: pl.DataFrame, column: str) -> dict[str, int]:
    """Count the occurrences of each value of a column, in the order of the values.

    >>> tally(pl.DataFrame({"rows": [512, 256, 512]}), "rows")
    {'256': 1, '512': 2}
    """
    values = table.select(value=pl.col(column).cast(pl.String)).group_by("value").len()
    return {str(value): count for value, count in values.sort("value").iter_rows()}


def series_sizes(series: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Return for each kind of series their number, and their fewest, median and most images.

    >>> series_sizes(pl.DataFrame({"kind": ["a", "a"], "images": [10, 20]}))
    {'a': {'series': 2, 'min': 10, 'median': 15.0, 'max': 20}}
    """
    images = pl.col("images")
    kinds = series.group_by("kind").agg(
        series=pl.len(), min=images.min(), median=images.median(), max=images.max()
    )
    return {row.pop("kind"): row for row in kinds.sort("kind").to_dicts()}
