"""Instances: each file's data from header and path, or why it cannot be used.

A file with functional groups, such as Enhanced MR, has one instance per frame.

In a competition's layout (see `lsdc.dicom_index.layout`) ids come from the path. Elsewhere they are
the numbers that `lsdc.dicom.headers` derives from UIDs, or digests of the folder's name if there is
no UID.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import polars as pl

from lsdc.dicom.functional_groups import FRAME_NUMBERS
from lsdc.dicom_index.image_use import with_use
from lsdc.dicom_index.instance_table import Instances
from lsdc.dicom_index.layout import NAME_NUMBER, Layout, place_folders
from lsdc.dicom_index.listing import Listing
from lsdc.dicom_index.other_files import (
    COPY,
    NO_IMAGE,
    NOT_DICOM,
    SAME_IMAGE,
    describe_class,
    find_copies,
    may_be_slice,
    others,
)
from lsdc.dicom_index.quarantine import Quarantine, is_not_dicom
from lsdc.dicom_index.twins import digest_pixels
from lsdc.dicom_index.unusable import part_unusable
from lsdc.geometry.planes import normal_positions, orientation_groups

# A study may be in both splits.
SERIES_ID = ["study_id", "series_id", "split"]
STUDY_ID = pl.coalesce("path_study_id", "header_study_id", "folder_id").alias("study_id")
_INSTANCE = [*SERIES_ID, "instance_number"]

# Sort order that puts the original of several copies first.
_PREFERENCE = [pl.col("name_number").is_null(), pl.col("path").str.len_bytes(), pl.col("path")]

_LARGEST_EDGE = 2**16
# Ids below this are the competition's; larger ones are digests of UIDs.
_SHORT_ID = 10**10
_NEEDED = {
    "position_mm": "ImagePositionPatient",
    "orientation": "ImageOrientationPatient",
    "pixel_spacing_mm": "PixelSpacing",
    "rows": "Rows",
    "columns": "Columns",
}


def place_files(files: pl.DataFrame, layout: Layout, series: pl.DataFrame | None) -> pl.DataFrame:
    """Add the data from each file's path and from the series table.

    Args:
        files: `walk.Files`.
        layout: the layout of the competition, or of a tree without tables.
        series: the competition's series table, if there is one.

    Returns:
        path, bytes, mtime_ns; split, path_study_id, path_series_id (null outside the layout);
        name_number (null if the name is not a number); folder_id (63 bits of the folder's digest);
        series_description and listed (whether the tables list the series, or the study of a folder
        that may not be read).
    """
    own = pl.concat_str("folder", "name", separator="/")
    files = files.with_columns(place=pl.when("closed").then(own).otherwise("folder"))
    folders = files["place"].unique(maintain_order=True)
    places = pl.DataFrame({"place": folders, "folder_id": list(map(_digest, folders))}).hstack(
        place_folders(folders, layout).rename(
            {"study_id": "path_study_id", "series_id": "path_series_id"}
        )
    )
    if series is None:
        places = places.with_columns(
            series_description=pl.lit(None, dtype=pl.String),
            listed=pl.lit(False),
        )
    else:
        listed = series.select(
            "split",
            "series_description",
            path_study_id="study_id",
            path_series_id="series_id",
            listed=pl.lit(True),
        )
        on = ["split", "path_study_id", "path_series_id"]
        places = places.join(listed, on=on, how="left", maintain_order="left").with_columns(
            pl.col("listed").fill_null(False)
        )
    places = _with_closed(places, files.filter("closed")["place"].to_list(), layout)
    return files.join(places, on="place", how="left", maintain_order="left").select(
        own.alias("path"),
        "bytes",
        "mtime_ns",
        *places.columns[1:],
        name_number=pl.col("name").str.extract(NAME_NUMBER).cast(pl.Int64, strict=False),
    )


def _with_closed(places: pl.DataFrame, closed: Sequence[str], layout: Layout) -> pl.DataFrame:
    """Return the places, with closed folders of listed studies marked as listed as well."""
    found = [(folder, *study) for folder in closed if (study := layout.place_study(folder))]
    if not found:
        return places
    schema = {"place": pl.String, "of_split": pl.String, "of_study": pl.Int64}
    studies = pl.DataFrame(found, schema=schema, orient="row")
    return (
        places.join(studies, on="place", how="left", maintain_order="left")
        .with_columns(
            split=pl.coalesce("split", "of_split"),
            path_study_id=pl.coalesce("path_study_id", "of_study"),
            listed=pl.col("listed") | pl.col("of_study").is_not_null(),
        )
        .drop("of_split", "of_study")
    )


def tabulate(
    headers: pl.DataFrame, listing: Listing | None = None
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Separate usable files from the others, and compute their geometry.

    Args:
        headers: the columns of `header_table.Headers` and of `place_files`; whole studies.
        listing: the competition's tables, if there are any.

    Returns:
        `Instances`; `Quarantine`, with split and listed; `OtherFiles`.
    """
    rows = _with_ids(headers)
    unread = pl.col("reason").is_not_null()
    # The folder's id replaces an image's missing one, but not a refused file's.
    refused = rows.filter(unread & ~is_not_dicom()).with_columns(
        study_id=pl.coalesce("path_study_id", "header_study_id"),
        series_id=pl.coalesce("path_series_id", "header_series_id"),
        instance_number=pl.coalesce("name_number", "header_number"),
    )
    aside = [others(rows.filter(unread & is_not_dicom()), pl.lit(NOT_DICOM))]
    rows = rows.filter(~unread)
    imageless = pl.col("sop_class").is_null() & pl.col("rows").is_null()
    aside += [
        others(rows.filter(~may_be_slice()), describe_class()),
        others(rows.filter(imageless), pl.lit(NO_IMAGE)),
    ]
    rows = rows.filter(may_be_slice() & ~imageless)
    copies = find_copies(rows, SERIES_ID)
    if len(copies):
        again = rows.join(copies, on="path", maintain_order="left")
        aside.append(others(again, pl.lit(COPY), pl.col("copy_of")))
        rows = rows.join(copies, on="path", how="anti", maintain_order="left")
    rows, bad = part_unusable(_by_frame(rows), _NEEDED)
    rows, same = _part_same_images(rows)
    aside.append(others(same, pl.lit(SAME_IMAGE), pl.col("copy_of")))
    rows, repeated = _part_repeated(rows)
    columns = [*Quarantine.column_names(), "split", "listed"]
    quarantine = pl.concat([part.select(columns) for part in (refused, bad, repeated)])
    kinds, annotations = (listing.kinds, listing.annotations) if listing else ({}, None)
    instances = with_use(_with_geometry(rows), kinds, annotations).select(Instances.column_names())
    return instances, quarantine, pl.concat(aside)


def _part_same_images(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Separate images whose number, position and pixels equal another's in their listed series.

    Only the pixels of files that agree in number, position and shape are read.
    """
    alone = pl.col("number_of_frames").fill_null(1) == 1
    numbered = rows.filter("listed", pl.col("instance_number").is_not_null(), alone)
    key = [*_INSTANCE, "position_mm", "orientation", "pixel_spacing_mm", "rows", "columns"]
    alike = numbered.filter(pl.struct(key).is_duplicated()).sort(_PREFERENCE)
    if alike.is_empty():
        return rows, alike.with_columns(copy_of="path")
    alike = alike.with_columns(
        digest=pl.Series(digest_pixels(alike, with_blank=True), dtype=pl.String)
    ).filter(pl.col("digest").is_not_null())
    original = pl.col("path").first().over(*key, "digest")
    same = alike.with_columns(copy_of=original).filter(pl.col("path") != pl.col("copy_of"))
    return rows.join(same, on="path", how="anti", maintain_order="left"), same


def _part_repeated(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the images sorted by number, and those whose number is a repeat.

    The tables refer to a listed series' files by number, so of two files in one folder with the
    same number in their names only the first is used. If names have no number, or folders differ,
    the headers' numbers are ambiguous, and the images are later numbered by position.
    """
    rows = rows.sort(*_INSTANCE, "path")
    numbered = pl.col("instance_number").is_not_null()
    if not rows.filter(numbered).select(_INSTANCE).is_duplicated().any():
        return rows, pl.DataFrame(schema=rows.schema)
    rows = rows.sort(*_INSTANCE, *_PREFERENCE)
    counts = pl.col("listed") & numbered
    named = pl.col("name_number").is_not_null()
    in_folder = pl.struct(*_INSTANCE, "folder_id", "name_number")
    repeated = counts & named & in_folder.is_first_distinct().not_()
    again = rows.filter(repeated).with_columns(
        reason=pl.format("instance number {} is repeated in the series", "instance_number")
    )
    rows = rows.filter(~repeated)
    first = pl.struct(_INSTANCE).is_first_distinct()
    several = pl.len().over(_INSTANCE) > 1
    number = pl.when(~counts | ~several | (first & named)).then("instance_number")
    return rows.with_columns(instance_number=number).sort(*_INSTANCE, "path"), again


def _with_ids(headers: pl.DataFrame) -> pl.DataFrame:
    in_layout = pl.col("path_study_id").is_not_null()
    edges = [
        pl.when(pl.col(name).is_between(1, _LARGEST_EDGE))
        .then(pl.col(name))
        .cast(pl.Int32)
        .alias(name)
        for name in ("rows", "columns")
    ]
    number = pl.col("instance_number")
    short_study, short_series = (
        pl.col(f"header_{name}").is_between(0, _SHORT_ID)
        & (pl.col(f"header_{name}") != pl.col(f"path_{name}"))
        for name in ("study_id", "series_id")
    )
    renumbered = number != pl.col("name_number")
    rows = headers.with_columns(
        *edges,
        STUDY_ID,
        stage=pl.lit("index"),
        header_number=number,
        series_id=pl.coalesce("path_series_id", "header_series_id", "folder_id"),
        instance_number=pl.when(in_layout)
        .then(pl.coalesce("name_number", number))
        .otherwise(number),
        id_mismatch=in_layout
        & (
            short_study.fill_null(False)
            | short_series.fill_null(False)
            | renumbered.fill_null(False)
        ),
    )
    # Folders with files of several series; `own` is the series of most of these files.
    mixed = (
        rows.filter(in_layout)
        .group_by("folder_id")
        .agg(
            pl.col("header_series_id").n_unique().alias("kinds"),
            pl.col("header_series_id").drop_nulls().mode().sort().first().alias("own"),
        )
        .filter(pl.col("kinds") > 1)
    )
    if not len(mixed):
        return rows
    stranger = (pl.col("header_series_id") != pl.col("own")).fill_null(False)
    return (
        rows.join(
            mixed.select("folder_id", "own"), on="folder_id", how="left", maintain_order="left"
        )
        .with_columns(id_mismatch=pl.col("id_mismatch") | stranger)
        .drop("own")
    )


def _by_frame(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row per frame, with `frame`, for files whose functional groups give positions."""
    one = rows.with_columns(frame=pl.lit(1, dtype=pl.Int32))
    has_groups = pl.col("frames").is_not_null()
    enhanced = one.filter(has_groups)
    if enhanced.is_empty():
        return one
    # (files,) numbers of frames; (frames, 12) position, directions, spacing and echo time.
    counts = enhanced["frames"].list.len().to_numpy() // FRAME_NUMBERS
    numbers = enhanced["frames"].explode().to_numpy().reshape(-1, FRAME_NUMBERS)
    position, orientation, spacing, echo_time = np.split(numbers, [3, 9, 11], axis=1)
    own = {"position_mm": position, "orientation": orientation, "pixel_spacing_mm": spacing}
    # Values missing in groups come from the header, except positions, which differ by frame.
    frame = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("path")
    # Each file's row, as often as the file has frames.
    frames = enhanced[np.repeat(np.arange(len(enhanced)), counts)].with_columns(
        frame=frame,
        position_mm=pl.when(pl.col("number_of_frames").fill_null(1) == 1).then("position_mm"),
        instance_number=pl.when(frame == 1).then("instance_number"),
    )
    # Null for a frame that lacks any of the values.
    groups = [
        pl.Series(name, values, dtype=frames.schema[name]).set(
            pl.Series(np.isnan(values).any(axis=1)), None
        )
        for name, values in own.items()
    ]
    echo = pl.Series("echo_time_ms", echo_time[:, 0]).fill_nan(None)
    filled = [pl.coalesce(each, each.name) for each in (*groups, echo)]
    return pl.concat([one.filter(~has_groups), frames.with_columns(filled)])


def _with_geometry(rows: pl.DataFrame) -> pl.DataFrame:
    """Add the orientation group within the series and the position along the group's normal."""
    # (images, 6) direction cosines, and (images, 3) mm.
    orientations = rows["orientation"].to_numpy().reshape(-1, 6)
    positions = rows["position_mm"].to_numpy().reshape(-1, 3)
    # Sorted by series, so that a run id identifies them.
    series = rows.select(pl.struct(SERIES_ID).rle_id()).to_series().to_numpy()
    groups = orientation_groups(orientations, series=series)
    # (images,) labels of series and group together, as groups count from 0 in each series.
    most = int(groups.max(initial=0)) + 1
    along = normal_positions(positions, orientations, groups=series.astype("int64") * most + groups)
    rows = rows.with_columns(
        pl.Series("orientation_group", groups, dtype=pl.Int32),
        pl.Series("normal_position_mm", along),
        pl.col("bits_stored").cast(pl.Int32, strict=False),
        row_spacing_mm=pl.col("pixel_spacing_mm").arr.get(0),
        column_spacing_mm=pl.col("pixel_spacing_mm").arr.get(1),
    )
    return _count_on(rows) if rows["instance_number"].null_count() else rows


def _count_on(rows: pl.DataFrame) -> pl.DataFrame:
    """Number images without a number after the series' highest: along the normal, by frame."""
    lacking = pl.col("instance_number").is_null()
    highest = pl.col("instance_number").max().over(SERIES_ID).fill_null(0)
    return (
        rows.sort(
            *SERIES_ID,
            pl.when(pl.col("frame") > 1).then("path"),  # nulls sort first
            pl.when(pl.col("frame") > 1).then("frame"),
            *("orientation_group", "normal_position_mm", "path"),
        )
        .with_columns(
            instance_number=pl.when(lacking)
            .then(highest + lacking.cum_sum().over(SERIES_ID))
            .otherwise("instance_number")
        )
        .sort(*_INSTANCE, "path")
    )


def _digest(text: str) -> int:
    # 63 bits: ids are signed.
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
