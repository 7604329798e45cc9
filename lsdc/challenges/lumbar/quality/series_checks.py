"""Check the series of the index: their slices, numbers and ids."""

import polars as pl

from lsdc.challenges.lumbar.competition.tables import Competition
from lsdc.challenges.lumbar.quality.checks import check
from lsdc.tables.findings import Severity

_KEY = ["split", "study_id", "series_id", "series_description"]


@check(
    "Series without a usable image",
    "series",
    of=lambda series: series,
    advice="masked; find their files, or remove the series from the table",
)
def series_without_images(series: pl.DataFrame) -> pl.DataFrame:
    """Return series whose files are all missing or in quarantine."""
    return series.filter(pl.col("images") == 0).select(*_KEY, "quarantined")


@check("Instance numbers with gaps or not from 1", "series", Severity.NOTE)
def gaps_in_instance_numbers(series: pl.DataFrame) -> pl.DataFrame:
    """Return series with missing instance numbers, or whose numbers do not start at 1.

    Returns:
        split, ids, series_description, images, first_instance, last_instance, gaps.
    """
    return series.filter(
        pl.col("images") > 0, (pl.col("gaps") > 0) | (pl.col("first_instance") != 1)
    ).select(*_KEY, "images", "first_instance", "last_instance", "gaps")


@check(
    "Series with several slices at a position",
    "series",
    advice="runs use the first slice at each position; look for copies",
)
def duplicate_positions(series: pl.DataFrame) -> pl.DataFrame:
    """Return series with several slices at a position."""
    return series.filter(pl.col("duplicate_positions") > 0).select(*_KEY, "duplicate_positions")


@check("Series with images of different shapes", "series")
def mixed_shapes(series: pl.DataFrame) -> pl.DataFrame:
    """Return series with images of different shapes."""
    return series.filter(pl.col("shapes") > 1).select(*_KEY, "shapes")


@check("Series with stacks at different angles", "series", Severity.NOTE)
def several_orientations(series: pl.DataFrame) -> pl.DataFrame:
    """Return series with stacks at different angles."""
    return series.filter(pl.col("orientation_groups") > 1).select(*_KEY, "orientation_groups")


@check("Series with slices out of order", "series", Severity.NOTE)
def mixed_order(series: pl.DataFrame) -> pl.DataFrame:
    """Return series whose slices do not lie in the order of their numbers."""
    return series.filter(order="mixed").select(*_KEY, "plane")


@check(
    "Series with other ids in the headers",
    "series",
    advice="runs use the ids in the paths; look for misplaced files",
)
def id_mismatches(series: pl.DataFrame) -> pl.DataFrame:
    """Return series with other ids in the headers than in the paths."""
    return series.filter(pl.col("id_mismatches") > 0).select(*_KEY, "id_mismatches")


@check("Unlisted series", "series", advice="runs ignore them; add them to the table to use them")
def unlisted_series(series: pl.DataFrame, competition: Competition) -> pl.DataFrame:
    """Return series that are missing from the competition's tables of series."""
    ids = ["split", "study_id", "series_id"]
    strangers = series.join(competition.series, on=ids, how="anti", maintain_order="left")
    return strangers.select(*ids, "images", "plane")
