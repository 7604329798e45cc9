"""Unusable: separate the images that cannot be used, as their headers show, from the others."""

from collections.abc import Mapping

import polars as pl

from lsdc.dicom.native import NATIVE
from lsdc.dicom.preflight import LARGEST_FILE_BYTES, refuse_size


def part_unusable(
    rows: pl.DataFrame, needed: Mapping[str, str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the images whose headers are complete, and the others with a reason.

    Args:
        rows: the columns of `header_table.Headers`, one row per image.
        needed: the columns that an image needs, with the tags that give them.

    Returns:
        The usable rows; the others, one row per file.
    """
    lacking = pl.any_horizontal(pl.col(name).is_null() for name in needed)
    # Bytes of all pixels: a file that does not compress them cannot be shorter.
    pixels = pl.col("rows").cast(pl.Int64) * pl.col("columns") * pl.col("bits_allocated") // 8
    pixels *= pl.col("number_of_frames").fill_null(1)
    cut = pl.col("transfer_syntax").is_in(list(NATIVE)) & (pl.col("bytes") < pixels)
    no_image = pl.col("refusal").is_not_null()
    too_large = (pl.col("bytes") > LARGEST_FILE_BYTES).fill_null(False)
    is_bad = no_image | lacking | too_large | cut.fill_null(False)
    bad = rows.filter(is_bad).with_columns(
        reason=pl.when(no_image)
        .then("refusal")
        .when(lacking)
        .then(pl.format("no usable {} in the header", _name_lacking(needed)))
        .when(too_large)
        .then(pl.col("bytes").map_elements(refuse_size, return_dtype=pl.String))
        .otherwise(
            pl.format("truncated: {} bytes, expected at least {} of pixels", "bytes", pixels)
        )
    )
    if len(bad):
        rows = rows.filter(~is_bad)
        # One row per file: the first of its bad frames.
        bad = bad.unique("path", keep="first", maintain_order=True)
    return rows, bad


def _name_lacking(needed: Mapping[str, str]) -> pl.Expr:
    names = [pl.when(pl.col(column).is_null()).then(pl.lit(tag)) for column, tag in needed.items()]
    return pl.concat_str(names, separator=", ", ignore_nulls=True)
