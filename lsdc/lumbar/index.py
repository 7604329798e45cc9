"""Index: the headers of every listed file, a row each; what cannot be used is quarantined."""

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from lsdc.dicom.headers import Header
from lsdc.dicom.reader import Unreadable, read_headers
from lsdc.errors import DataError
from lsdc.geometry.planes import normal_positions, orientation_groups
from lsdc.lumbar.quarantine import QUARANTINE, check_bad_files
from lsdc.lumbar.tables import Competition, Split
from lsdc.store.files import write_atomic

log = logging.getLogger(__name__)

_INSTANCE = ["study_id", "series_id", "instance_number"]
# Implicit and explicit VR little endian, explicit VR big endian: pixels as they are.
NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")

INSTANCES: dict[str, pl.DataType | type[pl.DataType]] = {
    "split": pl.String,
    "study_id": pl.Int64,
    "series_id": pl.Int64,
    "instance_number": pl.Int64,
    "series_description": pl.String,
    "path": pl.String,
    "bytes": pl.Int64,
    "mtime_ns": pl.Int64,
    "rows": pl.Int32,
    "columns": pl.Int32,
    "row_spacing_mm": pl.Float64,
    "column_spacing_mm": pl.Float64,
    "position_mm": pl.Array(pl.Float64, 3),
    "orientation": pl.Array(pl.Float64, 6),
    "orientation_group": pl.Int32,
    "normal_position_mm": pl.Float64,
    "transfer_syntax": pl.String,
    "bits_stored": pl.Int32,
    "photometric": pl.String,
    "patient_position": pl.String,
}
SERIES_KEY = ("study_id", "series_id", "series_description")


def build_index(
    competition: Competition,
    split: Split,
    out: Path,
    *,
    limit: int | None = None,
    processes: int = 2,
    max_bad: float = 0.01,
    strict: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> int:
    """Index the files of a split's listed series and write four tables into `out`.

    `instances.parquet` has a row a usable file, `series.parquet` a row a listed series,
    `studies.parquet` a row a listed study (`usable` says whether it has any image), and
    `quarantine.parquet` a row a file that cannot be used, with the reason.

    Args:
        competition: the opened tables.
        split: `train` or `test`.
        out: an existing folder.
        limit: the first so many studies only.
        processes: how many children read.
        max_bad: the share of bad files that stops the stage.
        strict: refuse a listed study without usable images.
        on_progress: called with files read and files in all.

    Returns:
        Rows of `instances`.

    Raises:
        DataError: no listed training series has a file; with `strict`, a study has no usable image.
        StageError: more than `max_bad` of the files, and at least 10, cannot be used.
    """
    listed = competition.series.filter(split=split)
    if limit is not None:
        chosen = listed["study_id"].unique(maintain_order=True).head(limit)
        listed = listed.filter(pl.col("study_id").is_in(chosen.implode()))
    files = _list_files(competition, split, listed)
    headers = read_headers(
        [Path(path) for path in files["path"]], processes=processes, on_progress=on_progress
    )
    instances, quarantine = _split_usable(files, headers)
    _warn_of_strangers(competition, split, listed)
    check_bad_files("index", quarantine, total=len(files), max_bad=max_bad)
    instances = _with_geometry(instances).sort("study_id", "series_id", "instance_number")
    series = _summarise_series(listed, split, instances, quarantine)
    studies = series.group_by("split", "study_id", maintain_order=True).agg(
        usable=pl.col("images").sum() > 0, images=pl.col("images").sum()
    )
    without = studies.filter(~pl.col("usable"))["study_id"].to_list()
    if without:
        first = ", ".join(map(str, without[:5])) + (" ..." if len(without) > 5 else "")
        message = f"index {split}: {len(without)} studies without usable images: {first}"
        if strict:
            raise DataError(f"{message}; complete them, or run without --strict")
        log.warning("%s", message)
    for name, table in {
        "instances": instances,
        "series": series,
        "studies": studies,
        "quarantine": quarantine.select(list(QUARANTINE)),
    }.items():
        with write_atomic(out / f"{name}.parquet") as temporary:
            table.write_parquet(temporary)
    return len(instances)


def _list_files(competition: Competition, split: Split, listed: pl.DataFrame) -> pl.DataFrame:
    """The `.dcm` files in the folders of the listed series, in a stable order."""
    rows = []
    for study, series, description in listed.select(SERIES_KEY).iter_rows():
        folder = competition.image_folder(split, study, series)
        for name, stat in _dicom_files(folder):
            rows.append((split, study, series, description, f"{folder}/{name}", name, *stat))
    schema = [
        ("split", pl.String),
        ("study_id", pl.Int64),
        ("series_id", pl.Int64),
        ("series_description", pl.String),
        ("path", pl.String),
        ("name", pl.String),
        ("bytes", pl.Int64),
        ("mtime_ns", pl.Int64),
    ]
    if not rows and split == "train":  # a test study is predicted from what it has, if nothing
        raise DataError(
            f"{competition.root}/{split}_images: none of the {len(listed)} listed series has a "
            ".dcm file; expected {study_id}/{series_id}/{instance}.dcm"
        )
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        instance_number=pl.col("name").str.strip_suffix(".dcm").cast(pl.Int64, strict=False)
    )


def _dicom_files(folder: Path) -> list[tuple[str, tuple[int, int]]]:
    found = []
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: (len(entry.name), entry.name))
    except OSError:
        return []  # a listed series without a folder: `series.images` says 0
    for entry in entries:
        if entry.name.endswith(".dcm"):
            try:
                stat = entry.stat()
            except OSError:  # a dangling link: the reader says so
                stat = entry.stat(follow_symlinks=False)
            found.append((entry.name, (stat.st_size, stat.st_mtime_ns)))
    return found


def _split_usable(
    files: pl.DataFrame, headers: Sequence[Header | Unreadable]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Join files and headers; a header without what geometry needs makes a file unusable."""
    facts = zip(headers, files["bytes"], files["instance_number"], strict=True)
    reasons = [_why_unusable(*each) for each in facts]
    columns: dict[str, list[object]] = {
        name: []
        for name in INSTANCES
        if name not in files.columns and name not in ("orientation_group", "normal_position_mm")
    }
    numbers = []
    for header, reason, number in zip(headers, reasons, files["instance_number"], strict=True):
        if reason is not None or isinstance(header, Unreadable):
            continue
        numbers.append(header.instance_number if number is None else number)
        assert header.pixel_spacing is not None
        row_spacing, column_spacing = header.pixel_spacing
        values = {
            "rows": header.rows,
            "columns": header.columns,
            "row_spacing_mm": row_spacing,
            "column_spacing_mm": column_spacing,
            "position_mm": header.image_position,
            "orientation": header.image_orientation,
            "transfer_syntax": header.transfer_syntax,
            "bits_stored": header.bits_stored,
            "photometric": header.photometric,
            "patient_position": header.patient_position,
        }
        for name, column in columns.items():
            column.append(values[name])
    verdict = pl.Series("reason", reasons, dtype=pl.String)
    usable = files.filter(verdict.is_null()).with_columns(
        pl.Series("instance_number", numbers, dtype=pl.Int64),
        *(pl.Series(name, column, dtype=INSTANCES[name]) for name, column in columns.items()),
    )
    quarantine = files.with_columns(verdict, stage=pl.lit("index")).filter(verdict.is_not_null())
    first = usable.unique(_INSTANCE, keep="first", maintain_order=True)
    again = usable.join(first, on="path", how="anti", maintain_order="left").select(
        *files.columns,
        reason=pl.format("instance {} of the series came before", "instance_number"),
        stage=pl.lit("index"),
    )
    return first, pl.concat([quarantine, again.select(quarantine.columns)])


def _why_unusable(header: Header | Unreadable, size: int, number: int | None) -> str | None:
    if isinstance(header, Unreadable):
        return header.reason
    needed = {
        "ImagePositionPatient": header.image_position,
        "ImageOrientationPatient": header.image_orientation,
        "PixelSpacing": header.pixel_spacing,
        "Rows": header.rows,
        "Columns": header.columns,
        "InstanceNumber": header.instance_number if number is None else 1,
    }
    missing = [name for name, value in needed.items() if not value]
    if missing:
        return f"no usable {', '.join(missing)} in the header"
    needed_bytes = (header.rows or 0) * (header.columns or 0) * (header.bits_allocated or 0) // 8
    if header.transfer_syntax in NATIVE and size < needed_bytes:
        return f"cut off: {size} bytes, expected at least {needed_bytes} of pixels"
    return None


def _with_geometry(instances: pl.DataFrame) -> pl.DataFrame:
    """Add the orientation group within the series and the position along the group's normal."""
    groups = np.zeros(len(instances), dtype=np.int32)
    along = np.zeros(len(instances))
    orientations = instances["orientation"].to_numpy()
    positions = instances["position_mm"].to_numpy()
    rows = instances.with_row_index("row").group_by("study_id", "series_id").agg("row")["row"]
    for indices in rows:
        chosen = indices.to_numpy()
        groups[chosen] = orientation_groups(orientations[chosen])
        for group in np.unique(groups[chosen]):
            members = chosen[groups[chosen] == group]
            along[members] = normal_positions(positions[members], orientations[members])
    return instances.with_columns(
        pl.Series("orientation_group", groups), pl.Series("normal_position_mm", along)
    ).select(list(INSTANCES))


def _summarise_series(
    listed: pl.DataFrame, split: str, instances: pl.DataFrame, quarantine: pl.DataFrame
) -> pl.DataFrame:
    key = ["study_id", "series_id"]
    found = instances.group_by(key).agg(
        images=pl.len(), orientation_groups=pl.col("orientation_group").n_unique()
    )
    bad = quarantine.group_by(key).agg(quarantined=pl.len())
    return (
        listed.select(pl.lit(split).alias("split"), *SERIES_KEY)
        .join(found, on=key, how="left", maintain_order="left")
        .join(bad, on=key, how="left", maintain_order="left")
        .with_columns(pl.col("images", "orientation_groups", "quarantined").fill_null(0))
    )


def _warn_of_strangers(competition: Competition, split: Split, listed: pl.DataFrame) -> None:
    """Name the series folders that no table lists; they are not read."""
    known = {f"{study}/{series}" for study, series in listed.select("study_id", "series_id").rows()}
    strangers = []
    for study in listed["study_id"].unique().sort():
        folder = competition.image_folder(split, study, 0).parent
        if folder.is_dir():
            names = (f"{study}/{entry.name}" for entry in sorted(folder.iterdir()))
            strangers += [name for name in names if name not in known]
    if strangers:
        log.warning(
            "%s: %d folders or files in no table are left out: %s",
            f"{split}_images",
            len(strangers),
            ", ".join(strangers[:5]) + (" ..." if len(strangers) > 5 else ""),
        )
