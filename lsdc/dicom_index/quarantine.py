"""Quarantine: one rule for unusable files, in every stage that reads files."""

import logging
import re

import dataframely as dy
import polars as pl

from lsdc.dicom.preflight import MIN_FILE_BYTES
from lsdc.errors import StageError
from lsdc.messages import counted
from lsdc.tables.table import Table

log = logging.getLogger(__name__)

# Fewer bad files than this never stop a stage: in a small folder one file is a large fraction.
FEW_BAD_FILES = 10
# A standalone number; the numbers in a transfer syntax UID are its name.
_NUMBER = re.compile(r"(?<![\d.])\d+(?:\.\d+)?(?![\d.]*\d)")

_ID = (
    "As in the table instances; null if neither path nor header gives the value, or if a later "
    "stage than index refused the file."
)


class BadFiles(Table):
    """One row per file that cannot be used."""

    path = dy.String(description="Path of the file.")
    stage = dy.String(description="The stage that refused the file.")
    reason = dy.String(description="Reason. The text contains no values from the file.")
    bytes = dy.Int64(
        nullable=True,
        description=(
            "Size of the file in bytes, when it was refused; null if a later stage than index "
            "refused it."
        ),
    )
    mtime_ns = dy.Int64(
        nullable=True,
        description=(
            "Time of the file's last change, in nanoseconds since 1970; null if a later stage than "
            "index refused it."
        ),
    )


class Quarantine(BadFiles):
    """One row per file that cannot be used."""

    study_id = dy.Int64(nullable=True, description=_ID)
    series_id = dy.Int64(nullable=True, description=_ID)
    instance_number = dy.Int64(nullable=True, description=_ID)


def is_not_dicom() -> pl.Expr:
    """Return whether an unreadable file is not DICOM and is not named as an image either.

    `._7.dcm` is the name of the metadata file of macOS for `7.dcm`, in any form.
    """
    no_image = pl.col("no_dicom") | (pl.col("bytes") < MIN_FILE_BYTES)
    named = pl.col("path").str.contains(r"(?i)\.(dcm|dicom|ima|img)$")
    # Where only images are expected, a numbered file is one: `7`, `IM0007`.
    numbered = pl.col("listed") & pl.col("path").str.contains(r"[0-9]$")
    beside = pl.col("path").str.contains(r"(^|/)\._[^/]*$")
    return (beside | (~named & ~numbered)) & no_image.fill_null(True)


def count_files(*tables: pl.DataFrame) -> int:
    """Count the files behind rows: an Enhanced MR file has one row per frame."""
    return pl.concat([table["path"] for table in tables]).n_unique()


def log_bad_files(stage: str, quarantine: pl.DataFrame, *, total: int) -> None:
    """Log how many files are quarantined and, for the log file, each with its reason."""
    if len(quarantine):
        log.warning(
            "%s: %d of %s quarantined; for the reasons, see the catalog's table quarantine",
            stage,
            len(quarantine),
            counted(total, "file"),
        )
    for path, reason in quarantine.select("path", "reason").iter_rows():
        log.debug("%s: %s quarantined: %s", stage, path, reason)


def refuse_bad_files(stage: str, quarantine: pl.DataFrame, *, total: int, max_bad: float) -> None:
    """Stop a stage if too many files are quarantined.

    Raises:
        StageError: at least 10 files are bad, and more than the fraction `max_bad` of all.
    """
    bad = len(quarantine)
    if bad >= FEW_BAD_FILES and bad > max_bad * total:
        kind = group_reasons(quarantine).row(0, named=True)
        raise StageError(
            f"{stage}: {bad:,} of {counted(total, 'file')} cannot be used, expected at most "
            f"{max_bad:.1%}; commonest reason ({counted(kind['files'], 'file')}): {kind['reason']} "
            f"({kind['path']}); all are in the log and in the catalog's table quarantine; repair "
            "or remove them, or raise --max-bad"
        )


def group_reasons(quarantine: pl.DataFrame) -> pl.DataFrame:
    """Group reasons that differ only in their numbers, the commonest first.

    Returns:
        files (count), reason and path (of the first file).
    """
    kinds = {reason: _NUMBER.sub("0", reason) for reason in quarantine["reason"].unique()}
    kind = pl.col("reason").replace_strict(kinds, return_dtype=pl.String)
    return (
        quarantine.sort("path")
        .group_by(kind.alias("kind"), maintain_order=True)
        .agg(pl.col("reason", "path").first(), files=pl.len().cast(pl.Int64))
        .select("files", "reason", "path")
        .sort("files", descending=True, maintain_order=True)
    )
