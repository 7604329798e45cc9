"""Which images of studies without tables are used: axial slices of CT.

A scan brings more than the stack that the models know: localizers that show where it lies, and
reformatted slices in other planes. The competition's studies have neither.
"""

import polars as pl

from lsdc.dicom.terms import CT

_STEEPEST_DEGREES = 45.0  # gantries tilt by 30 degrees at most


def with_use(images: pl.DataFrame) -> pl.DataFrame:
    """Add `left_out`: why an image is not used; null if it is.

    Args:
        images: `index.tables.Images`, with `image_type` of the header.
    """
    modality, tilt = pl.col("modality"), pl.col("tilt_degrees")
    return images.with_columns(
        left_out=pl.when(modality != CT)
        .then(pl.format("modality {}, expected CT", modality))
        .when(pl.col("image_type") == "localizer")
        .then(pl.lit("localizer, by ImageType"))
        .when(tilt > _STEEPEST_DEGREES)
        .then(pl.lit("slices in another plane than axial, as reformatted ones"))
    )
