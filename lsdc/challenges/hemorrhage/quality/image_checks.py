"""Check single images: how their values are stored, rescaled and shown, and whose they are."""

import polars as pl

from lsdc.challenges.hemorrhage.quality.checks import check
from lsdc.dicom.terms import CT
from lsdc.tables.findings import Severity

# Above this intercept values of 12 bits cannot hold air (-1000 HU) unless they are signed.
_HOLDS_AIR_HU = -100.0
_KEY = ["split", "study_id", "series_id", "image_id"]
_SIZE = ["rows", "columns"]


@check(
    "Images with wrapped values of 12 bits",
    "images",
    of=lambda images: images,
    advice="signed values are flagged as unsigned, so air reads as bone; runs mend them by the "
    "two's complement of 12 bits",
)
def wrapped_values(images: pl.DataFrame) -> pl.DataFrame:
    """Return the images of 12 unsigned bits whose intercept leaves no value for air."""
    wrapped = (
        (pl.col("bits_stored") == 12)
        & (pl.col("pixel_representation") == 0)
        & (pl.col("rescale_intercept") > _HOLDS_AIR_HU)
    )
    return images.filter(wrapped).select(*_KEY, "rescale_intercept")


@check(
    "Images without rescale",
    "images",
    of=lambda images: images,
    advice="their stored values are taken for HU; check them against other images",
)
def images_without_rescale(images: pl.DataFrame) -> pl.DataFrame:
    """Return the images without RescaleSlope or RescaleIntercept, or with a slope of 0."""
    slope, intercept = pl.col("rescale_slope"), pl.col("rescale_intercept")
    lacking = slope.is_null() | intercept.is_null() | (slope == 0)
    return images.filter(lacking).select(*_KEY, "rescale_slope", "rescale_intercept")


@check(
    "Images of another modality",
    "images",
    advice="used like the others, but rescale and PatientID are read from CT alone; mend Modality",
)
def images_of_another_modality(images: pl.DataFrame) -> pl.DataFrame:
    """Return the images whose Modality is not CT, or missing."""
    return images.filter(pl.col("modality").ne_missing(CT)).select(*_KEY, "modality")


@check(
    "Images of another size than most",
    "images",
    Severity.NOTE,
    of=lambda images: images,
    advice="used; all images are scaled to one size",
)
def images_of_another_size(images: pl.DataFrame) -> pl.DataFrame:
    """Return the images whose rows and columns differ from those of most images."""
    sizes = images.group_by(_SIZE).len().sort("len", *_SIZE, descending=[True, False, False])
    return images.join(sizes.head(1), on=_SIZE, how="anti").select(*_KEY, *_SIZE)


@check(
    "Images with another SOPInstanceUID than their name",
    "images",
    of=lambda images: images,
    advice="runs go by the file's name; look for renamed files",
)
def id_mismatches(images: pl.DataFrame) -> pl.DataFrame:
    """Return the images whose header has another id than their file's name."""
    return images.filter("id_mismatch").select(*_KEY, "path")


@check(
    "Images without position or orientation",
    "images",
    of=lambda images: images,
    advice="used; they come last in their series, so their neighbours there are arbitrary",
)
def images_without_position(images: pl.DataFrame) -> pl.DataFrame:
    """Return the images without ImagePositionPatient or ImageOrientationPatient."""
    return images.filter(pl.col("along_mm").is_null()).select(*_KEY, "path")
