"""Typical places: where levels lie in the images of other studies.

A scan of the lumbar spine is centred on it by hand, so this is where to look in a study in which
the nets are sure of no level.
"""

import warnings

import numpy as np
import polars as pl

from lsdc.challenges.lumbar.annotations.patient_space import planes_of
from lsdc.challenges.lumbar.coordinates.level_points import Floats, known_points
from lsdc.challenges.lumbar.vocabulary import SeriesDescription
from lsdc.dicom_index.image_use import used_images

# The kinds of images that tell the middle best, best first.
_KINDS = [
    str(kind)
    for kind in (
        SeriesDescription.SAGITTAL_T2,
        SeriesDescription.SAGITTAL_T1,
        SeriesDescription.AXIAL_T2,
    )
]
# A guess is far below what counts as seen.
TYPICAL_CONFIDENCE = 0.01


def image_middles(instances: pl.DataFrame) -> dict[int, Floats]:
    """The middle (3,) in mm of each study's images, of the best kind that it has.

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
    """(levels, 3) in mm from the middle of a study's images, the median; NaN where none is known.

    Args:
        places: as `annotations.patient_space.place_annotations` returns.
        instances: the instances table.
    """
    middles = image_middles(instances)
    studies, points, _ = known_points(places)
    offsets = [own - middles[s] for s, own in zip(studies, points, strict=True) if s in middles]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a level that nobody annotated
        typical: Floats = np.nanmedian(offsets, axis=0)
    return typical
