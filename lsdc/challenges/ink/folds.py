"""Cut fragments into regions, and assign these to folds.

A region is a whole fragment or a band of its rows. The bands of a fragment have equal areas of
mask, so that each holds about as much papyrus. Two bands of one fragment touch: what is trained on
keeps a gap to what is held out, else models would have seen the edges of what they are scored on.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import dataframely as dy
import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.ink import columns
from lsdc.challenges.ink.competition.tables import Competition, Fragment, read_picture
from lsdc.errors import DataError, SettingsError
from lsdc.messages import counted
from lsdc.store.table_files import write_table
from lsdc.tables.table import Table


class Regions(Table):
    """One row per region of the fragments of both splits."""

    region = columns.region(primary_key=True)
    fragment = columns.fragment()
    split = columns.split()
    first_row = columns.first_row()
    end_row = columns.end_row()
    mask_pixels = dy.Int64(min=0, description="Number of pixels inside the mask.")
    ink_pixels = dy.Int64(
        min=0, nullable=True, description="Number of pixels of ink; null in the test split."
    )


class Folds(Table):
    """One row per region that is in a fold."""

    region = columns.region(primary_key=True)
    fold = columns.fold()


class AllowedRows(Table):
    """One row per range of rows that tiles of a fold's training may touch."""

    fragment = columns.fragment(primary_key=True)
    first_row = dy.Int32(primary_key=True, min=0, description="First row of pixels, from 0.")
    end_row = columns.end_row()


def find_regions(fragments: Sequence[Fragment], bands: Sequence[int] = (1,)) -> pl.DataFrame:
    """Cut training fragments into bands of rows with equal areas of mask.

    Args:
        fragments: the fragments of one or both splits; test fragments are not cut.
        bands: the number of bands of each training fragment, in their order, or one number for all.

    Returns:
        `Regions`, in the order of the fragments and from top to bottom. The region of a fragment
        that is not cut has the fragment's name; bands have the numbers 0, 1, ... behind it.

    Raises:
        SettingsError: there are neither one number of bands nor as many as training fragments.
        DataError: a picture cannot be read, labels differ in size from their mask, or a mask is too
            small for its bands.
    """
    training = [fragment.name for fragment in fragments if fragment.split == "train"]
    if len(bands) not in (1, len(training)):
        raise SettingsError(
            f"split.bands: {counted(len(bands), 'number')} for {len(training)} training "
            f"fragments ({', '.join(training)}), expected one for each, or one for all"
        )
    counts = dict(zip(training, bands if len(bands) > 1 else [*bands] * len(training), strict=True))
    rows = [
        row for fragment in fragments for row in _regions_of(fragment, counts.get(fragment.name, 1))
    ]
    return pl.DataFrame(rows, schema=pl.Schema(Regions), orient="row")


def assign_folds(regions: pl.DataFrame, folds: int) -> pl.DataFrame:
    """Assign training regions to folds of about equal area of mask; a region is never divided.

    Regions are dealt from the largest, each to the fold with the least area so far, and folds are
    numbered in the order of their first regions. So with as many regions as folds, the n-th region
    is fold n. The same regions always give the same folds.

    Args:
        regions: `Regions`.
        folds: the number of folds.

    Returns:
        `Folds`, in the order of the regions; no fold is empty.

    Raises:
        SettingsError: fewer than two folds, or more folds than training regions.
    """
    training = regions.filter(split="train")
    if folds < 2:
        raise SettingsError(f"folds: expected 2 or more, got {folds}; use more folds")
    if folds > training.height:
        raise SettingsError(
            f"folds: {folds} folds need at least as many regions, found {training.height} "
            f"({', '.join(training['region'])}); use fewer folds, or cut fragments into more bands "
            "by split.bands"
        )
    area = training["mask_pixels"].to_numpy()
    loads, dealt = np.zeros(folds, dtype=np.int64), np.empty(len(area), dtype=np.int64)
    for place in np.argsort(-area, kind="stable"):
        dealt[place] = np.argmin(loads)
        loads[dealt[place]] += area[place]
    _, first = np.unique(dealt, return_index=True)  # of each fold, its first region
    numbers = np.argsort(np.argsort(first))
    fold = pl.Series(numbers[dealt], dtype=pl.Int32)
    return training.select("region", fold=fold)


def allowed_rows(
    regions: pl.DataFrame, folds: pl.DataFrame, fold: int, gap_px: int
) -> pl.DataFrame:
    """Return the rows that tiles may touch in training on all folds but one.

    No such row is within the gap of a region that the fold holds out. Neighbouring bands are one
    range, so that tiles may lie across their border.

    Args:
        regions: `Regions`.
        folds: `Folds`.
        fold: the fold that is held out.
        gap_px: the number of rows between a range and a region that is held out.

    Returns:
        `AllowedRows`; whole rows, over all columns.

    Raises:
        DataError: no region is in the fold, or no row is left.
    """
    placed = regions.join(folds, on="region", how="inner", maintain_order="left")
    if fold not in placed["fold"]:
        raise DataError(
            f"folds: no region is in fold {fold}, expected one of "
            f"{', '.join(map(str, placed['fold'].unique().sort()))}; assign the folds again"
        )
    rows = []
    for fragment, own in placed.group_by("fragment", maintain_order=True):
        end = int(own["end_row"].to_numpy().max())
        allowed = np.zeros(end, dtype=bool)
        for first, last in _ranges(own.filter(pl.col("fold") != fold)):
            allowed[first:last] = True
        for first, last in _ranges(own.filter(fold=fold)):
            allowed[max(0, first - gap_px) : last + gap_px] = False
        turns = np.flatnonzero(np.diff(np.concatenate([[False], allowed, [False]]).astype(int)))
        rows += [(*fragment, first, last) for first, last in turns.reshape(-1, 2).tolist()]
    if not rows:
        raise DataError(
            f"folds: nothing is left to train on without fold {fold} and a gap of {gap_px} rows; "
            "use more fragments, fewer bands or a smaller split.gap_px"
        )
    return pl.DataFrame(rows, schema=pl.Schema(AllowedRows), orient="row")


def are_leaky(regions: pl.DataFrame, folds: pl.DataFrame, gap_px: int, size_px: int) -> bool:
    """Return whether tiles of training may come nearer than a tile to what is held out.

    Args:
        regions: `Regions`.
        folds: `Folds`.
        gap_px: the gap between them.
        size_px: the side of a tile.
    """
    placed = regions.join(folds, on="region", how="inner")
    shared = placed.group_by("fragment").agg(pl.col("fold").n_unique())
    return gap_px < size_px and bool((shared["fold"] > 1).any())


def write_folds(competition: Competition, out: Path, *, folds: int, bands: Sequence[int]) -> int:
    """Cut a competition's fragments into regions and assign those of training to folds.

    Writes `regions.parquet` (`Regions`) and `folds.parquet` (`Folds`).

    Args:
        competition: the competition.
        out: an existing folder.
        folds: the number of folds.
        bands: see `find_regions`.

    Returns:
        The number of regions in folds.

    Raises:
        SettingsError, DataError: as `find_regions` and `assign_folds`.
    """
    regions = find_regions(competition.fragments, bands)
    dealt = assign_folds(regions, folds)
    write_table(Regions, regions, out / "regions.parquet")
    write_table(Folds, dealt, out / "folds.parquet")
    return dealt.height


def _regions_of(fragment: Fragment, bands: int) -> list[tuple[object, ...]]:
    in_mask = _count_by_row(fragment, fragment.mask)
    ink = _count_by_row(fragment, fragment.labels) if fragment.split == "train" else None
    edges = _equal_areas(in_mask, bands, fragment)
    return [
        (
            fragment.name if bands == 1 else f"{fragment.name}-{number}",
            fragment.name,
            fragment.split,
            first,
            end,
            int(in_mask[first:end].sum()),
            None if ink is None else int(ink[first:end].sum()),
        )
        for number, (first, end) in enumerate(pairwise(edges))
    ]


def _count_by_row(fragment: Fragment, path: Path) -> NDArray[np.int64]:
    """Return how many pixels of a picture are set, (rows,)."""
    return np.concatenate(
        [band.sum(axis=1, dtype=np.int64) for band in read_picture(fragment, path)]
    )


def _equal_areas(in_mask: NDArray[np.int64], bands: int, fragment: Fragment) -> list[int]:
    """Return the first row of each band, and the end of the last one."""
    area = np.cumsum(in_mask)
    total = int(area[-1])
    # The row nearest to each share of the area, rather than the first row beyond it.
    inner = [
        int(np.argmin(np.abs(area - total * number / bands))) + 1 for number in range(1, bands)
    ]
    edges = [0, *inner, len(in_mask)]
    if not total or min(np.diff(edges)) < 1 or (np.diff(area[np.array(edges[1:]) - 1]) < 1).any():
        raise DataError(
            f"{fragment.mask}: {counted(total, 'pixel')} in {len(in_mask)} rows, too few for "
            f"{counted(bands, 'band')}; use fewer bands for fragment {fragment.name}"
        )
    return edges


def _ranges(regions: pl.DataFrame) -> list[tuple[int, int]]:
    return regions.select("first_row", "end_row").rows()
