"""Check the series: positions of their slices, tilt, and whether their images are alike."""

import polars as pl

from lsdc.challenges.hemorrhage.quality.checks import check
from lsdc.tables.findings import Severity

# Files round their direction cosines to six digits or more.
_STRAIGHT_DEGREES = 0.1
_KEY = ["split", "study_id", "series_id"]


@check(
    "Series with several images at a position",
    "series",
    of=lambda series: series,
    advice="used in the order of InstanceNumber or id; neighbours there are no neighbours in space",
)
def tied_positions(series: pl.DataFrame) -> pl.DataFrame:
    """Return series with images within 0.01 mm of each other; `tied` is their number."""
    return series.filter(pl.col("tied") > 0).select(*_KEY, "images", "tied")


@check(
    "Series whose step changes",
    "series",
    of=lambda series: series,
    advice="used; models get the distance to the next slice, in mm",
)
def changing_steps(series: pl.DataFrame) -> pl.DataFrame:
    """Return series with steps that differ from their median by more than 10 %."""
    return series.filter(pl.col("steps_unlike") > 0).select(
        *_KEY, "images", "step_mm", "step_min_mm", "step_max_mm", "steps_unlike"
    )


@check(
    "Series of tilted slices",
    "series",
    Severity.NOTE,
    of=lambda series: series,
    advice="used; distances are measured along the slices' normal, not along z",
)
def tilted_stacks(series: pl.DataFrame) -> pl.DataFrame:
    """Return series with slices that are not perpendicular to the patient's long axis."""
    return series.filter(pl.col("tilt_degrees") > _STRAIGHT_DEGREES).select(*_KEY, "tilt_degrees")


@check(
    "Series with images of different directions",
    "series",
    advice="used, in the order of positions along the direction of most of them",
)
def several_orientations(series: pl.DataFrame) -> pl.DataFrame:
    """Return series whose images differ in ImageOrientationPatient."""
    return series.filter(pl.col("orientations") > 1).select(*_KEY, "images", "orientations")


@check("Series with images of different sizes", "series")
def mixed_sizes(series: pl.DataFrame) -> pl.DataFrame:
    """Return series whose images differ in rows or columns."""
    return series.filter(pl.col("shapes") > 1).select(*_KEY, "images", "shapes")


@check(
    "Series with images stored in different ways",
    "series",
    advice="used; each image is read by its own header",
)
def mixed_encodings(series: pl.DataFrame) -> pl.DataFrame:
    """Return series whose images differ in bits, sign or rescale."""
    mixed = (pl.col("encodings") > 1) | (pl.col("rescales") > 1)
    return series.filter(mixed).select(*_KEY, "images", "encodings", "rescales")


@check(
    "Series with two windows an image",
    "series",
    Severity.NOTE,
    of=lambda series: series,
    advice="used; windows are fixed by the experiment, not by the header",
)
def two_windows(series: pl.DataFrame) -> pl.DataFrame:
    """Return series with images that have several values of WindowCenter or WindowWidth.

    Returns:
        split, ids, images, two_windows (images with several values), unlike_windows (with different
        ones).
    """
    found = series.filter(pl.col("two_windows") > 0)
    return found.select(*_KEY, "images", "two_windows", "unlike_windows")


@check(
    "Series without a usable image",
    "series",
    of=lambda series: series,
    advice="not learnt from; in the test set their rows are filled in",
)
def series_without_images(series: pl.DataFrame) -> pl.DataFrame:
    """Return series whose files are all in quarantine."""
    return series.filter(pl.col("images") == 0).select(*_KEY, "quarantined")
