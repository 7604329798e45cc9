"""Views: stacks of slices resampled to square grids for a keypoint net.

A view is one sagittal series, or all axial series of a study.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from lsdc.challenges.lumbar.annotations.patient_space import planes_of
from lsdc.challenges.lumbar.vocabulary import SeriesDescription
from lsdc.dicom.image import Image
from lsdc.dicom.reader import Unreadable, read_pixels
from lsdc.dicom_index.image_use import acquisitions, used_images
from lsdc.store.files import reserve

SAGITTAL = (str(SeriesDescription.SAGITTAL_T1), str(SeriesDescription.SAGITTAL_T2))
AXIAL = (str(SeriesDescription.AXIAL_T2),)
# Percentiles of a series' values that become black and white.
DARKEST, BRIGHTEST = 1.0, 99.0

_LEFT, _HEAD = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])

Floats = NDArray[np.float64]
Grid = NDArray[np.float32]
_Pixels = Iterator[tuple[int, Image | Unreadable]]


@dataclass(frozen=True)
class Views:
    """Prepared views, their slices ordered from the patient's right to left or feet to head.

    Attributes:
        study_ids: (views,) the study of each view.
        series_ids: (views,) the series of each view; for an axial view the first.
        starts: (views + 1,) first slice of each view, and the end of the last.
        planes_mm: (slices, 3, 3): the position of grid pixel (0, 0), the step to the next column
            and the step to the next row.
        slices: study_id, series_id and series_description of each slice.
        unreadable: path and reason of each file that could not be read.
    """

    study_ids: NDArray[np.int64]
    series_ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    planes_mm: Floats
    slices: pl.DataFrame
    unreadable: list[tuple[str, str]]


def prepare_views(
    instances: pl.DataFrame,
    kinds: tuple[str, ...],
    images: Path,
    *,
    size: int,
    field_mm: float,
    processes: int,
    on_progress: Callable[[int, int], None],
) -> Views:
    """Read all slices of some kinds and write them as (slices, size, size) uint8 to `images`.

    A slice is centred in its grid and padded with black; the grid spans `field_mm`, or the slice's
    longer side if that is more, so that nothing is cut off. Grey values are scaled by percentiles
    of each acquisition (the slices of a series with one pixel spacing), before rounding.

    Args:
        instances: rows of the instances table; other series and unused images are ignored.
        kinds: SAGITTAL or AXIAL.
        images: the `.npy` file to write; rows from `starts[-1]` on are unused.
        size: side of the grid in pixels.
        field_mm: least side of the grid in mm.
        processes: number of processes that read pixels.
        on_progress: called with the number of files read and their total.
    """
    slices = _in_order(
        used_images(instances)
        .filter(pl.col("series_description").is_in(kinds))
        .sort("study_id", "series_id", "instance_number"),
        _HEAD if kinds == AXIAL else _LEFT,
    )
    grids, planes = _lay_grids(slices, size, field_mm)
    paths = slices["path"].to_list()
    # Zero-length arrays cannot be mapped.
    stored = open_memmap(images, mode="w+", dtype=np.uint8, shape=(max(1, len(paths)), size, size))
    reserve(images, images.stat().st_size)
    unreadable: list[tuple[str, str]] = []
    kept: list[int] = []
    owners: list[tuple[int, int]] = []
    starts = [0]
    read = read_pixels(paths, slices["frame"].to_list(), processes=processes)
    pixels = _counted(read, len(paths), on_progress)
    for owner, rows in slices.group_by("study_id", "series_id", maintain_order=True):
        readable, own, bad = _read_series(rows, pixels, grids, size)
        unreadable += bad
        if not readable:
            continue
        stored[len(kept) : len(kept) + len(readable)] = own
        kept += readable
        if kinds == AXIAL and owners and owners[-1][0] == owner[0]:
            starts[-1] = len(kept)
        else:
            starts.append(len(kept))
            owners.append(owner)
    stored.flush()
    studies, series = np.array(owners, np.int64).reshape(-1, 2).T
    shown = slices[kept].select("study_id", "series_id", "series_description")
    return Views(studies, series, np.array(starts), planes[kept], shown, unreadable)


def _in_order(slices: pl.DataFrame, onwards: Floats) -> pl.DataFrame:
    """Sort each series' slices by the position of their centres along the series' mean normal."""
    planes = planes_of(slices)
    middles = planes.to_mm(
        slices.select((pl.col("columns") - 1) / 2, (pl.col("rows") - 1) / 2).to_numpy()
    )
    normals = planes.normal * np.where(planes.normal @ onwards < 0, -1.0, 1.0)[:, None]
    axes = ["x", "y", "z"]
    series = ["study_id", "series_id"]
    return (
        slices.hstack([pl.Series(f"m{axis}", middles[:, i]) for i, axis in enumerate(axes)])
        .hstack([pl.Series(f"n{axis}", normals[:, i]) for i, axis in enumerate(axes)])
        .with_columns(
            along=pl.sum_horizontal(
                pl.col(f"m{axis}") * pl.col(f"n{axis}").mean().over(series) for axis in axes
            )
        )
        .sort(*series, "along", maintain_order=True)
        .select(slices.columns)
    )


def _lay_grids(
    slices: pl.DataFrame, size: int, field_mm: float
) -> tuple[NDArray[np.int64], Floats]:
    """Return the position of each slice on its grid, and the grids' planes.

    Returns: (n, 2, 2) [[left, top], [width, height]] in grid pixels, and (n, 3, 3) planes.
    """
    pixels = slices.select("columns", "rows").to_numpy().astype(np.float64)
    sides_mm = pixels * slices.select("column_spacing_mm", "row_spacing_mm").to_numpy()
    step_mm = np.maximum(field_mm, sides_mm.max(axis=1, initial=0.0)) / size
    extent = np.clip(np.rint(sides_mm / step_mm[:, None]), 1, size).astype(np.int64)
    corner = (size - extent) // 2
    # Grid pixel (0, 0), its right and its lower neighbour in pixels of the slice; `extent` grid
    # pixels cover the whole slice, edge to edge.
    probes = np.array([[0, 0], [1, 0], [0, 1]])
    at = (probes[None] - corner[:, None] + 0.5) * (pixels / extent)[:, None] - 0.5
    places = planes_of(slices).to_mm(at)
    places[:, 1:] -= places[:, :1]
    return np.stack([corner, extent], axis=1), places


def _read_series(
    rows: pl.DataFrame, pixels: _Pixels, grids: NDArray[np.int64], size: int
) -> tuple[list[int], NDArray[np.uint8], list[tuple[str, str]]]:
    """Take the next series from `pixels`; lay its slices on their grids.

    Returns: the readable slices' indices, their grey values (n, size, size), and path and reason of
        each file that could not be read.
    """
    readable: list[int] = []
    own: list[Grid] = []
    acquired: list[int] = []
    unreadable: list[tuple[str, str]] = []
    for path, acquisition in zip(rows["path"], acquisitions(rows), strict=True):
        index, image = next(pixels)
        if isinstance(image, Unreadable):
            unreadable.append((path, image.reason))
            continue
        readable.append(index)
        own.append(_resample(image.rescaled(), grids[index], size))
        acquired.append(acquisition)
    series = np.array(own, np.float32).reshape(-1, size, size)
    return readable, _to_grey(series, np.array(acquired)), unreadable


def _resample(image: NDArray[np.float32], grid: NDArray[np.int64], size: int) -> Grid:
    """Return the slice on its grid, with NaN around it."""
    import cv2  # not at the top: the flow's process imports this module but does not need cv2

    (left, top), (width, height) = grid.tolist()
    shrinks = width <= image.shape[1] and height <= image.shape[0]
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    laid = np.full((size, size), np.nan, np.float32)
    laid[top : top + height, left : left + width] = cv2.resize(
        image, (width, height), interpolation=way
    )
    return laid


def _to_grey(series: Grid, acquired: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Scale a series' slices (n, size, size) to grey values, each acquisition by its own range."""
    grey = np.empty(series.shape, np.uint8)
    for acquisition in np.unique(acquired):
        own = series[acquired == acquisition]
        dark, bright = np.nanpercentile(own, [DARKEST, BRIGHTEST])
        scaled = (own - dark) / max(bright - dark, 1e-6)
        grey[acquired == acquisition] = np.rint(255 * np.nan_to_num(scaled).clip(0, 1))
    return grey


def _counted(items: _Pixels, total: int, on_progress: Callable[[int, int], None]) -> _Pixels:
    for count, item in enumerate(items, start=1):
        if count % 256 == 0 or count == total:
            on_progress(count, total)
        yield item
