"""Check the files: those that cannot be used, copies, and those that no table lists."""

import polars as pl

from lsdc.challenges.hemorrhage.quality.checks import check
from lsdc.dicom_index.other_files import COPY
from lsdc.tables.findings import Severity

_IMAGE = ["split", "image_id"]
_SHORT = pl.col("reason").str.starts_with("truncated")
_REPEATED = pl.col("reason").str.starts_with("another file has the same id")


@check(
    "Files with fewer pixels than their header promises",
    "files",
    advice="not used; get these files again",
)
def short_pixels(quarantine: pl.DataFrame) -> pl.DataFrame:
    """Return the files that are shorter than their pixels need."""
    return _quarantined(quarantine).filter(_SHORT)


@check(
    "Different files of one name",
    "files",
    advice="the one with the shortest path is used; remove the others",
)
def repeated_names(quarantine: pl.DataFrame) -> pl.DataFrame:
    """Return the files whose image's id another file has, with other content."""
    return _quarantined(quarantine).filter(_REPEATED)


@check(
    "Files that cannot be used for other reasons",
    "files",
    advice="not used; for the reasons see --json or the catalog's table quarantine",
)
def unusable_files(quarantine: pl.DataFrame) -> pl.DataFrame:
    """Return the files in quarantine for any other reason."""
    return _quarantined(quarantine).filter(~_SHORT & ~_REPEATED)


@check("Copies of files", "files", Severity.NOTE, advice="one of each is used")
def copied_files(other_files: pl.DataFrame) -> pl.DataFrame:
    """Return the copies, byte for byte, of other files."""
    return other_files.filter(what=COPY).select("split", "path", "copy_of")


@check(
    "Files that are not images",
    "files",
    Severity.NOTE,
    advice="not read; remove them, or move them elsewhere",
)
def foreign_files(other_files: pl.DataFrame) -> pl.DataFrame:
    """Return the files that are not images, and their type."""
    return other_files.filter(pl.col("what") != COPY).select("split", "path", "what")


@check(
    "Images in the tables without a usable file",
    "images",
    of=lambda listed, **_: listed,
    advice="not learnt from; in the test set their rows are filled in",
)
def images_without_a_file(listed: pl.DataFrame, images: pl.DataFrame) -> pl.DataFrame:
    """Return the images that the tables list and the folders lack."""
    return listed.select(_IMAGE).unique(maintain_order=True).join(images, on=_IMAGE, how="anti")


@check("Images that no table lists", "images", Severity.NOTE, advice="not used")
def unlisted_images(listed: pl.DataFrame, images: pl.DataFrame) -> pl.DataFrame:
    """Return the images in the folders that the tables do not list."""
    return images.join(listed, on=_IMAGE, how="anti").select("split", "study_id", "image_id")


@check(
    "Images in the folders of both splits",
    "images",
    advice="a test image that is learnt from makes test scores too good; remove one of each pair",
)
def images_in_both_splits(images: pl.DataFrame) -> pl.DataFrame:
    """Return the images whose id is in both splits."""
    train, test = (images.filter(split=split) for split in ("train", "test"))
    return test.join(train, on="image_id", how="semi").select("study_id", "image_id", "path")


def _quarantined(quarantine: pl.DataFrame) -> pl.DataFrame:
    return quarantine.filter(stage="index").select(
        "split", "study_id", "series_id", "image_id", "path", "reason"
    )
