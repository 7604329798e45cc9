"""Typical positions: level positions relative to the middle of a study's images.

A scan of the lumbar spine is centred on it by hand, so these are a fallback for studies in which
the nets detect no level.
"""

import warnings

import numpy as np
import polars as pl

from lsdc.challenges.lumbar.annotations.patient_space import planes_of
from lsdc.challenges.lumbar.coordinates.level_points import Floats, known_points
from lsdc.challenges.lumbar.vocabulary import SeriesDescription
from lsdc.dicom_index.image_use import used_images

# The kinds of images that the middle is taken from, best first.
_KINDS = [
    str(kind)
    for kind in (
        SeriesDescription.SAGITTAL_T2,
        SeriesDescription.SAGITTAL_T1,
        SeriesDescription.AXIAL_T2,
    )
]
# Confidence of a typical position, far below that of a seen level.
TYPICAL_CONFIDENCE = 0.01


def image_middles(instances: pl.DataFrame) -> dict[int, Floats]:
    """Return the middle (3,) in mm of each study's images, of the best kind that it has.

    Args:
        instances: the instances table.
    """
    images = used_images(instances).filter(pl.col("series_description").is_in(_KINDS))
    middles = planes_of(images).to_mm(
        images.select((pl.col("columns") - 1) / 2, (pl.col("rows") - 1) / 2).to_numpy()
    )
    found = images.select("study_id", "series_description").hstack(
        pl.DataFrame(middles, schema=["x_mm", "y_mm", "z_mm"])
    )
    best = (
        found.group_by("study_id", "series_description")
        .mean()
        .sort("study_id", pl.col("series_description").cast(pl.Enum(_KINDS)))
    )
    first = best.unique("study_id", keep="first").drop("series_description")
    return {study: np.array(middle) for study, *middle in first.iter_rows()}


def typical_offsets(places: pl.DataFrame, instances: pl.DataFrame) -> Floats:
    """Return the median offsets (levels, 3) in mm from the middle of a study's images.

    A level without any annotation is NaN.

    Args:
        places: the placed annotations, as `place_annotations` returns them.
        instances: the instances table.
    """
    middles = image_middles(instances)
    studies, points, _ = known_points(places)
    offsets = [own - middles[s] for s, own in zip(studies, points, strict=True) if s in middles]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a level without any annotation
        typical: Floats = np.nanmedian(offsets, axis=0)
    return typical
