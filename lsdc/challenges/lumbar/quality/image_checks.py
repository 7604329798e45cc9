"""Check how a run uses the images: those set aside, used as another kind, repeated or unusable."""

import polars as pl

from lsdc.challenges.lumbar.quality.checks import check
from lsdc.dicom_index.image_use import SetAside, summarise_use

_KEY = ["split", "study_id", "series_id", "series_description"]
_OF_ONE_STUDY = (pl.col("study_id") == pl.col("twin_study_id")) & pl.col("split").eq_missing(
    pl.col("twin_split")
)
_NO_GEOMETRY = pl.col("reason").str.starts_with("no usable ") & pl.any_horizontal(
    pl.col("reason").str.contains(tag, literal=True)
    for tag in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
)


def _set_aside(instances: pl.DataFrame, reason: SetAside) -> pl.DataFrame:
    """Return the series of which a run excludes some or all images for the given reason.

    Returns:
        split, ids, series_description, images (the number of excluded images).
    """
    found = summarise_use(instances.lazy()).filter(set_aside=str(reason))
    return found.select(*_KEY, "images")


@check("Set aside: another plane than described", "series")
def images_of_another_plane(instances: pl.DataFrame) -> pl.DataFrame:
    """Return series with images excluded as being of another plane than described."""
    return _set_aside(instances, SetAside.ANOTHER_PLANE)


@check("Set aside: localizers in a series", "series")
def localizers(instances: pl.DataFrame) -> pl.DataFrame:
    """Return series with images excluded as localizers."""
    return _set_aside(instances, SetAside.LOCALIZER)


@check("Set aside: second contrasts", "series")
def second_contrasts(instances: pl.DataFrame) -> pl.DataFrame:
    """Return series with images excluded as a second contrast."""
    return _set_aside(instances, SetAside.SECOND_CONTRAST)


@check("Series used as another kind than described", "series")
def series_read_by_their_plane(instances: pl.DataFrame) -> pl.DataFrame:
    """Return the series that a run uses as another kind than described.

    Returns:
        split, ids, series_description, used_as, images.
    """
    found = summarise_use(instances.lazy()).filter(pl.col("used_as").is_not_null())
    return found.select(*_KEY, "used_as", "images")


@check(
    "Studies with the images of another study",
    "series",
    advice="runs keep them in one fold; remove one of each pair",
)
def studies_with_the_same_images(twins: pl.DataFrame) -> pl.DataFrame:
    """Return the twins of two studies."""
    return twins.filter(~_OF_ONE_STUDY)


@check(
    "Series with the images of another series",
    "series",
    advice="both are used; remove one of each pair",
)
def series_with_the_same_images(twins: pl.DataFrame) -> pl.DataFrame:
    """Return the twins of one study."""
    return twins.filter(_OF_ONE_STUDY)


@check(
    "Files without a position in the header",
    "files",
    advice="masked; export them again with all tags",
)
def files_without_position(quarantine: pl.DataFrame) -> pl.DataFrame:
    """Return the files in quarantine whose header lacks the geometry."""
    return _quarantined(quarantine).filter(_NO_GEOMETRY)


@check(
    "Files that cannot be used",
    "files",
    advice="masked; for the reasons see --json or the catalog's table quarantine",
)
def unusable_files(quarantine: pl.DataFrame) -> pl.DataFrame:
    """Return the files in quarantine for any other reason."""
    return _quarantined(quarantine).filter(~_NO_GEOMETRY)


def _quarantined(quarantine: pl.DataFrame) -> pl.DataFrame:
    rows = quarantine.filter(stage="index")
    return rows.select("study_id", "series_id", "instance_number", "path", "reason")
