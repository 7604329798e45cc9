"""Images: separate usable images from other files, and give them their ids."""

from zlib import crc32

import polars as pl

from lsdc.challenges.hemorrhage.index.tables import OtherFiles, Quarantine, ReadImages
from lsdc.dicom.terms import digest_patient
from lsdc.dicom_index.other_files import (
    COPY,
    NO_IMAGE,
    NOT_DICOM,
    describe_class,
    digest_of,
    may_be_slice,
)
from lsdc.dicom_index.quarantine import is_not_dicom
from lsdc.dicom_index.unusable import part_unusable

_LARGEST_EDGE = 2**16
# An image without a place is still an image; where it lies is unknown.
_NEEDED = {"rows": "Rows", "columns": "Columns"}


def tabulate(
    headers: pl.DataFrame,
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Separate usable images from other files.

    Args:
        headers: the columns of `header_table.Headers` and of `folders.ListedFiles`; two files of
            one image are both in it.

    Returns:
        `ReadImages`, `Quarantine`, `OtherFiles`.
    """
    rows = _with_ids(headers)
    unread = pl.col("reason").is_not_null()
    foreign = unread & is_not_dicom()
    imageless = pl.col("sop_class").is_null() & pl.col("rows").is_null()
    aside = [
        _others(rows.filter(foreign), pl.lit(NOT_DICOM)),
        _others(rows.filter(~unread & ~may_be_slice()), describe_class()),
        _others(rows.filter(~unread & may_be_slice() & imageless), pl.lit(NO_IMAGE)),
    ]
    refused = rows.filter(unread & ~is_not_dicom())
    rows = rows.filter(~unread & may_be_slice() & ~imageless)
    rows, bad = part_unusable(rows, _NEEDED)
    rows, repeated, copies = _part_repeated(rows)
    aside.append(_others(copies, pl.lit(COPY), pl.col("copy_of")))
    quarantine = pl.concat(
        each.with_columns(stage=pl.lit("index")).select(Quarantine.column_names())
        for each in (refused, bad, repeated)
    )
    return _images(rows), quarantine, pl.concat(aside)


def _with_ids(headers: pl.DataFrame) -> pl.DataFrame:
    """Return the headers with ids of study, series and patient, where a header could be read."""
    names = pl.Series([crc32(image.encode()) for image in headers["image_id"]], dtype=pl.Int64)
    study = pl.coalesce("study_name", pl.col("header_study_id").cast(pl.String))
    series = pl.coalesce("series_name", pl.col("header_series_id").cast(pl.String))
    edges = [
        pl.when(pl.col(name).is_between(1, _LARGEST_EDGE)).then(pl.col(name)).alias(name)
        for name in _NEEDED
    ]
    return headers.with_columns(
        *edges,
        listed=pl.lit(True),
        study_id=study,
        series_id=pl.coalesce(series, study),
        id_mismatch=(pl.col("instance_checksum") != names).fill_null(False),
    )


def _part_repeated(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return the images, those whose id another file has, and copies, byte for byte.

    The file with the shortest path is the original.
    """
    key = ["split", "image_id"]
    repeated = pl.struct(key).is_duplicated()
    alike = rows.filter(repeated).sort(*key, pl.col("path").str.len_bytes(), "path")
    first = pl.col("path").first().over(key)
    if len(alike):
        alike = alike.with_columns(
            copy_of=first,
            digest=pl.Series(map(digest_of, alike["path"]), dtype=pl.String),
        ).with_columns(same=pl.col("digest") == pl.col("digest").first().over(key))
    else:
        alike = alike.with_columns(copy_of="path", same=pl.lit(True))
    again = alike.filter(pl.col("path") != pl.col("copy_of"))
    bad = again.filter(~pl.col("same")).with_columns(
        reason=pl.lit("another file has the same id, so it is unknown which image is meant")
    )
    return (
        rows.join(again, on="path", how="anti", maintain_order="left"),
        bad,
        again.filter("same"),
    )


def _images(rows: pl.DataFrame) -> pl.DataFrame:
    study = pl.coalesce("study_id", "image_id")
    rows = rows.with_columns(
        study_id=study,
        series_id=pl.coalesce("series_id", study),
        has_patient_id=pl.col("patient").is_not_null(),
        row_spacing_mm=pl.col("pixel_spacing_mm").arr.get(0),
        column_spacing_mm=pl.col("pixel_spacing_mm").arr.get(1),
    )
    nameless = rows.filter(~pl.col("has_patient_id"))["study_id"].unique()
    if len(nameless):
        digests = {one: digest_patient(one.encode()) for one in nameless}
        of_study = pl.col("study_id").replace_strict(digests, default=None, return_dtype=pl.String)
        rows = rows.with_columns(patient=pl.coalesce("patient", of_study))
    return rows.select(
        pl.col(name).cast(dtype, strict=False) for name, dtype in pl.Schema(ReadImages).items()
    )


def _others(files: pl.DataFrame, what: pl.Expr, copy_of: pl.Expr | None = None) -> pl.DataFrame:
    none = pl.lit(None, dtype=pl.String)
    rows = files.select(
        "path", what=what, copy_of=none if copy_of is None else copy_of, split="split"
    )
    return pl.DataFrame(rows, schema=pl.Schema(OtherFiles))
