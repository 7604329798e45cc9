"""Localizers: stacks in a series that do not belong to its main images.

They have another plane, or few images of another field of view or coarser pixels, or few images at
another angle in a series whose slices are parallel.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.dicom_index.series_kinds import Kinds, fits, is_of

# A localizer's field of view is at least this many times larger or smaller than that of the slices.
# Or its pixels are, by the smaller factor if the series has one angle, or at most this many images
# at several. In a series of one angle, pixels coarser by the last factor always mean a localizer.
_OTHER_FIELD, _OTHER_PIXELS, _FEW_ANGLED, _COARSE_PIXELS = 1.25, 1.02, 2, 1.5
# Angled slices within the first distance of others show the same place. Slices of a stack are
# closer together than the second distance, those of a localizer farther apart.
_SAME_SHOWN_MM, _STACK_STEP_MM = 6.0, 10.0
# The largest fraction, relative to the series' other images, that counts as few: for images of
# another field or pixels, and for those only at another angle.
_FEW_OF_A_GRID, _FEW_AT_AN_ANGLE = 1 / 2, 1 / 4

_SERIES = ["study_id", "series_id"]
_PIXELS, SPACING = ["rows", "columns"], ["grid_row_spacing_mm", "grid_column_spacing_mm"]


def with_localizers(
    stacks: pl.DataFrame, images: pl.DataFrame, stack: list[str], kinds: Kinds
) -> pl.DataFrame:
    """Add `is_localizer`: whether a stack is a localizer and not part of its series' main images.

    Args:
        stacks: one row per stack, with `kind`.
        images: the images of all stacks.
        stack: the columns that identify an image's stack.
        kinds: the meaning of series descriptions.
    """
    edges_mm = [pl.col(pixels) * pl.col(mm) for pixels, mm in zip(_PIXELS, SPACING, strict=True)]
    stacks = stacks.with_columns(
        fits=fits("kind", kinds),
        longer_mm=pl.max_horizontal(edges_mm),
        pixel_mm=pl.max_horizontal(SPACING),
    ).with_columns(
        fitting=pl.col("images").filter("fits").sum().over("grid"),
        widest=pl.col("images").filter("fits").max().over("grid"),
    )
    # The acquisition with most images of the right plane; of equals the finer one.
    main = (
        stacks.filter("fits")
        .sort(*_SERIES, -pl.col("fitting").cast(pl.Int64), "pixel_mm", "grid")
        .unique(_SERIES, keep="first", maintain_order=True)
        .select(
            *_SERIES,
            main="grid",
            most="fitting",
            main_longer_mm="longer_mm",
            main_pixel_mm="pixel_mm",
        )
    )
    stacks = stacks.join(main, on=_SERIES, how="left", maintain_order="left")
    field, pixels = (_ratio(name, f"main_{name}") for name in ("longer_mm", "pixel_mm"))
    one_angle = is_of("kind", kinds, "one_angle")
    other_pixels = (
        pl.when(~one_angle & (pl.col("fitting") > _FEW_ANGLED))
        .then(_OTHER_FIELD)
        .otherwise(_OTHER_PIXELS)
    )
    other_grid = (pl.col("fitting") <= _FEW_OF_A_GRID * pl.col("most")) & (
        (field >= _OTHER_FIELD) | (pixels >= other_pixels)
    )
    coarser = pl.col("pixel_mm") >= _COARSE_PIXELS * pl.col("main_pixel_mm")
    other_grid |= one_angle & coarser & (pl.col("grid") != pl.col("main"))
    stacks = stacks.with_columns(other_grid=other_grid.fill_null(False))
    angled = stacks.filter("fits", "other_grid", ~one_angle)
    alone = [] if angled.is_empty() else _grids_at_own_places(angled, stacks, images, stack)
    other_grid = pl.col("other_grid") & ~pl.col("grid").is_in(alone)
    other_angle = one_angle & (pl.col("images") <= _FEW_AT_AN_ANGLE * pl.col("widest"))
    return stacks.with_columns(
        is_localizer=pl.col("kind").is_not_null()
        & (~pl.col("fits") | (other_grid | other_angle).fill_null(False))
    )


def _grids_at_own_places(
    suspects: pl.DataFrame, stacks: pl.DataFrame, images: pl.DataFrame, stack: list[str]
) -> list[int]:
    """Return the angled grids most of whose slices show places that their series' main grid misses.

    A stack's slice does if no slice of the main grid is near; widely spaced slices, as in a
    localizer, do if they are beyond all slices of the main grid.
    """
    fitting = stacks.filter("fits").select(*stack, "grid", "main")
    placed = images.join(fitting, on=stack, how="inner", maintain_order="left")
    alone = []
    for grid, main in suspects.select("grid", "main").unique(maintain_order=True).iter_rows():
        own, others = _heights(placed.filter(grid=grid)), _heights(placed.filter(grid=main))
        gaps = np.diff(np.sort(own))
        if len(gaps) and np.median(gaps) <= _STACK_STEP_MM:
            shown = np.abs(own[:, None] - others).min(axis=1) <= _SAME_SHOWN_MM
        else:
            shown = (own >= others.min()) & (own <= others.max())
        if 2 * shown.sum() < len(own):
            alone.append(grid)
    return alone


def _heights(images: pl.DataFrame) -> NDArray[np.float64]:
    """Return (n,) heights of the images' centres in mm."""
    orientation = images["orientation"].to_numpy().reshape(-1, 2, 3)[..., 2]
    spacing = images.select("column_spacing_mm", "row_spacing_mm").to_numpy()
    edges_mm = images.select("columns", "rows").to_numpy() * spacing / 2
    heights: NDArray[np.float64] = images["position_mm"].to_numpy().reshape(-1, 3)[:, 2] + (
        orientation * edges_mm
    ).sum(axis=1)
    return heights


def _ratio(one: str, other: str) -> pl.Expr:
    return pl.max_horizontal(pl.col(one) / pl.col(other), pl.col(other) / pl.col(one))
