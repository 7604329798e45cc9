"""Quarantine: the one rule for files that cannot be used, in every stage that reads some."""

import logging
from collections import Counter

import polars as pl

from lsdc.dicom.gate import MIN_FILE_BYTES, NO_DICOM
from lsdc.errors import StageError

log = logging.getLogger(__name__)

# Fewer bad files than this never stop a stage: on a small folder one file is a large share.
FEW_BAD_FILES = 10

# Size and mtime are the file's when it was refused; stages after the index leave them out.
QUARANTINE: dict[str, pl.DataType] = {
    "path": pl.String(),
    "stage": pl.String(),
    "reason": pl.String(),
    "bytes": pl.Int64(),
    "mtime_ns": pl.Int64(),
}


def is_stranger() -> pl.Expr:
    """Whether a quarantined file never was an image, and is not named as one either."""
    no_image = pl.col("reason").str.starts_with(NO_DICOM) | (pl.col("bytes") < MIN_FILE_BYTES)
    return ~pl.col("path").str.ends_with(".dcm") & no_image.fill_null(True)


def check_bad_files(stage: str, quarantine: pl.DataFrame, *, total: int, max_bad: float) -> None:
    """Log what was quarantined; stop the stage where it is too much.

    Raises:
        StageError: at least 10 files are bad, and more than the share `max_bad` of all.
    """
    bad = len(quarantine)
    if bad:
        log.warning("%s: %d of %d files quarantined; the catalog says why", stage, bad, total)
    for path, reason in quarantine.select("path", "reason").iter_rows():
        log.debug("%s: %s quarantined: %s", stage, path, reason)
    if bad >= FEW_BAD_FILES and bad > max_bad * total:
        (reason, times) = Counter(quarantine["reason"].to_list()).most_common(1)[0]
        raise StageError(
            f"{stage}: {bad} of {total} files cannot be used, at most {max_bad:.1%} may be; "
            f"most often ({times} times): {reason}; first: {quarantine['path'][0]}; all are in "
            "the log; mend or remove them, or raise --max-bad"
        )
