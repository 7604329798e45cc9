"""Summaries: what the images of each series and study have in common."""

from collections.abc import Callable

import polars as pl

from lsdc.challenges.hemorrhage.index.stacks import SERIES
from lsdc.challenges.hemorrhage.index.tables import Series, Studies
from lsdc.dicom_index.image_use import SAME_PLACE_MM

# Positions are rounded: steps of one stack differ by up to 1 % from their median.
_UNLIKE = 0.10
_COUNTS = [
    name
    for name, column in Series.columns().items()
    if column.dtype == pl.Int64 and not column.nullable
]


def summarise_series(images: pl.DataFrame, quarantine: pl.DataFrame) -> pl.DataFrame:
    """Return one row per series with any file, usable or not (`Series`), sorted by id.

    Args:
        images: `Images`, whole studies.
        quarantine: `Quarantine` of these studies; files of no known series are not counted.
    """
    counted = images.group_by(SERIES).agg(
        images=pl.len(),
        orientations=pl.col("orientation").drop_nulls().n_unique(),
        tilt_degrees=pl.col("tilt_degrees").max(),
        tied=pl.col("tied").sum(),
        unplaced=pl.col("along_mm").null_count(),
        shapes=pl.struct("rows", "columns").n_unique(),
        encodings=pl.struct("bits_stored", "pixel_representation").n_unique(),
        rescales=pl.struct("rescale_slope", "rescale_intercept").n_unique(),
        two_windows=_windows(lambda values: values.list.len() > 1).sum(),
        unlike_windows=_windows(lambda values: values.list.n_unique() > 1).sum(),
    )
    step = pl.col("step_mm")
    steps = (
        images.filter(step > SAME_PLACE_MM)
        .with_columns(median=step.median().over(SERIES))
        .group_by(SERIES)
        .agg(
            pl.col("median").first().alias("step_mm"),
            step.min().alias("step_min_mm"),
            step.max().alias("step_max_mm"),
            steps_unlike=((step - pl.col("median")).abs() > _UNLIKE * pl.col("median")).sum(),
        )
    )
    known = quarantine.filter(pl.col("series_id").is_not_null())
    bad = known.group_by(SERIES).agg(quarantined=pl.len())
    return (
        counted.join(steps, on=SERIES, how="left")
        # A full join, since a series may have no usable file.
        .join(bad, on=SERIES, how="full", coalesce=True)
        .with_columns(pl.col(_COUNTS).fill_null(0))
        .select(pl.col(name).cast(dtype) for name, dtype in pl.Schema(Series).items())
        .sort(SERIES)
    )


def summarise_studies(images: pl.DataFrame, series: pl.DataFrame) -> pl.DataFrame:
    """Return one row per study with any file (`Studies`), sorted by id."""
    study = SERIES[:2]
    patients = images.group_by(study).agg(
        patient=pl.col("patient").mode().sort().first(), patients=pl.col("patient").n_unique()
    )
    return (
        series.group_by(study)
        .agg(usable=pl.col("images").sum() > 0, images=pl.col("images").sum(), series=pl.len())
        .join(patients, on=study, how="left")
        .with_columns(pl.col("patients").fill_null(0))
        .select(pl.col(name).cast(dtype) for name, dtype in pl.Schema(Studies).items())
        .sort(study)
    )


def _windows(are: Callable[[pl.Expr], pl.Expr]) -> pl.Expr:
    """Return whether an image's window centres or widths are so."""
    both = (are(pl.col(name)).fill_null(False) for name in ("window_centers", "window_widths"))
    return pl.any_horizontal(both)
