"""Stacks: the order of a series' images along their normal.

The gantry of a CT scanner can be tilted, and then only z changes from slice to slice: the stack is
sheared, and slices are as far apart as z, times the cosine of the tilt.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.index.tables import Images
from lsdc.dicom_index.image_use import SAME_PLACE_MM
from lsdc.geometry.planes import normal_positions, orientation_groups

SERIES = ["split", "study_id", "series_id"]

Floats = NDArray[np.float64]


def arrange_stacks(images: pl.DataFrame) -> pl.DataFrame:
    """Sort the images of whole studies by their position in the stack (`Images`).

    The normal is that of most of a series' images; it points to the head (in general, along the
    patient axis that is nearest to it: +x, +y or +z).

    Args:
        images: `ReadImages`, whole studies.
    """
    images = images.sort(*SERIES, "image_id")
    placed = pl.col("position_mm").is_not_null() & pl.col("orientation").is_not_null()
    is_placed = images.select(placed).to_series()
    rows = images.filter(is_placed)
    # (images, 6) cosines and (images, 3) mm in patient space (LPS).
    orientations = rows["orientation"].to_numpy().reshape(-1, 6)
    positions = rows["position_mm"].to_numpy().reshape(-1, 3)
    series = rows.select(pl.struct(SERIES).rle_id()).to_series().to_numpy()
    along = _along_normals(positions, orientations, series)
    geometry = rows.select(
        "path",
        along_mm=pl.Series(along),
        tilt_degrees=pl.Series(_tilts(orientations)),
    )
    images = images.join(geometry, on="path", how="left", maintain_order="left")
    return _with_order(images).select(
        pl.col(name).cast(dtype) for name, dtype in pl.Schema(Images).items()
    )


def _along_normals(positions: Floats, orientations: Floats, series: NDArray[np.uint32]) -> Floats:
    """Return (n,) positions in mm along the normal of most images of each series."""
    groups = orientation_groups(orientations, series=series)
    counts = (
        pl.DataFrame({"series": series, "group": groups})
        .with_row_index("row")
        .group_by("series", "group")
        .agg(pl.len(), pl.col("row").min())
        .sort("series", "len", "group", descending=[False, True, False])
        .unique("series", keep="first", maintain_order=True)
    )
    main = orientations[counts["row"].to_numpy()]
    normals = np.cross(main[:, :3], main[:, 3:])
    nearest = np.abs(normals).argmax(axis=1)
    signs = np.sign(np.take_along_axis(normals, nearest[:, None], axis=1)[:, 0])
    # Series are numbered from 0 in the order of the rows.
    own = np.searchsorted(counts["series"].to_numpy(), series)
    along: Floats = signs[own] * normal_positions(positions, main[own], groups=series)
    return along


def _tilts(orientations: Floats) -> Floats:
    """Return (n,) angles in degrees between the images' normals and the patient's long axis."""
    x, y, z = np.cross(orientations[:, :3], orientations[:, 3:]).T
    tilts: Floats = np.degrees(np.arctan2(np.hypot(x, y), np.abs(z)))
    return tilts


def _with_order(images: pl.DataFrame) -> pl.DataFrame:
    """Return the images in order, with order, step and ties."""
    along = pl.col("along_mm")
    images = images.sort(*SERIES, "along_mm", "image_id", nulls_last=True)
    apart = (along.diff().over(SERIES).abs() > SAME_PLACE_MM).fill_null(True)
    place = [*SERIES, "place"]
    z = pl.col("position_mm").arr.get(2)
    images = images.with_columns(place=apart.cum_sum().over(SERIES)).sort(
        *place, "instance_number", z, "image_id", nulls_last=True
    )
    # Images at one position are no distance apart, whatever was rounded.
    place_mm = pl.col("place_mm")
    return images.with_columns(
        place_mm=along.first().over(place),
        order=pl.int_range(pl.len()).over(SERIES),
        tied=pl.len().over(place) > 1,
    ).with_columns(step_mm=place_mm.shift(-1).over(SERIES) - place_mm)
