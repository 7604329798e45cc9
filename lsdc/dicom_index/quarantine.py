"""Quarantine: the one rule for files that cannot be used, in every stage that reads some."""

import logging
import re

import polars as pl

from lsdc.dicom.preflight import MIN_FILE_BYTES
from lsdc.errors import StageError

log = logging.getLogger(__name__)

# Fewer bad files than this never stop a stage: on a small folder one file is a large share.
FEW_BAD_FILES = 10
# A number of its own; in a transfer syntax the numbers are the name.
_NUMBER = re.compile(r"(?<![\d.])\d+(?:\.\d+)?(?![\d.]*\d)")

# Size and mtime are the file's when it was refused. Stages after the index leave them and ids out.
QUARANTINE: dict[str, pl.DataType] = {
    "path": pl.String(),
    "stage": pl.String(),
    "reason": pl.String(),
    "bytes": pl.Int64(),
    "mtime_ns": pl.Int64(),
    "study_id": pl.Int64(),
    "series_id": pl.Int64(),
    "instance_number": pl.Int64(),
}


def is_not_dicom() -> pl.Expr:
    """Whether a file that could not be read never was an image, and is not named as one either.

    `._7.dcm` is the name of what macOS keeps beside `7.dcm`, in whatever form.
    """
    no_image = pl.col("no_dicom") | (pl.col("bytes") < MIN_FILE_BYTES)
    named = pl.col("path").str.contains(r"(?i)\.(dcm|dicom|ima|img)$")
    # Where only images are expected, what is numbered is one: `7`, `IM0007`.
    numbered = pl.col("listed") & pl.col("path").str.contains(r"[0-9]$")
    beside = pl.col("path").str.contains(r"(^|/)\._[^/]*$")
    return (beside | (~named & ~numbered)) & no_image.fill_null(True)


def count_files(*tables: pl.DataFrame) -> int:
    """How many files rows are of: of Enhanced MR, a file is a row a frame."""
    return pl.concat([table["path"] for table in tables]).n_unique()


def tell_bad_files(stage: str, quarantine: pl.DataFrame, *, total: int) -> None:
    """Log how many files are quarantined and, for the log file, each with its reason."""
    if len(quarantine):
        log.warning(
            "%s: %d of %d files quarantined; the catalog says why", stage, len(quarantine), total
        )
    for path, reason in quarantine.select("path", "reason").iter_rows():
        log.debug("%s: %s quarantined: %s", stage, path, reason)


def refuse_bad_files(stage: str, quarantine: pl.DataFrame, *, total: int, max_bad: float) -> None:
    """Stop a stage where too much is quarantined.

    Raises:
        StageError: at least 10 files are bad, and more than the share `max_bad` of all.
    """
    bad = len(quarantine)
    if bad >= FEW_BAD_FILES and bad > max_bad * total:
        kind = group_reasons(quarantine).row(0, named=True)
        raise StageError(
            f"{stage}: {bad} of {total} files cannot be used, at most {max_bad:.1%} may be; "
            f"most often ({kind['files']} times): {kind['reason']} ({kind['path']}); all are in "
            "the log and in the catalog's table quarantine; mend or remove them, or raise --max-bad"
        )


def group_reasons(quarantine: pl.DataFrame) -> pl.DataFrame:
    """Reasons that differ in their numbers alone are one kind; the commonest come first.

    Returns:
        files (how many), reason and path (of the first of them).
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
