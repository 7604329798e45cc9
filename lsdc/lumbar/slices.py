"""Slices: which images a level is shown on, by distance in mm and never by instance order."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from lsdc.experiments.config import SlicesConfig
from lsdc.lumbar.vocabulary import SeriesDescription

MISSING = -1


def choose_slices(slices: pl.DataFrame, config: SlicesConfig) -> pl.DataFrame:
    """Choose `config.count` slices for every study and level of `slices` (see `find_sides`).

    Sagittal T1, then T2: left side, middle, right side, each from the patient's left to the
    right; then the axial ones from top to bottom. A place that no slice can fill has no row.

    Returns:
        The chosen rows of `slices`, with `place` (0 .. config.count - 1), sorted by study, level
        and place.
    """
    kept = []
    with_row = _longest_sagittal(slices.with_row_index("row"))
    columns = ("split", "study_id", "level")
    for _, table in with_row.group_by(columns, maintain_order=True):
        kept += list(_fill_places(table, config))
    rows, places = zip(*kept, strict=True) if kept else ((), ())
    chosen = pl.DataFrame(
        {"row": rows, "place": places}, schema={"row": pl.UInt32, "place": pl.Int32}
    )
    return (
        chosen.join(with_row, on="row", how="left", maintain_order="left")
        .drop("row")
        .sort("study_id", "level", "place")
    )


def _longest_sagittal(slices: pl.DataFrame) -> pl.DataFrame:
    """Of several sagittal series of one kind in a study keep the longest; all axial ones stay."""
    axial = pl.col("series_description") == SeriesDescription.AXIAL_T2
    key = ("split", "study_id", "series_description")
    best = (
        slices.filter(~axial)
        .group_by(*key, "series_id")
        .agg(images=pl.col("instance_number").n_unique())
        .sort("images", "series_id", descending=[True, False])
        .unique(key, keep="first", maintain_order=True)
    )
    keep = slices.join(best, on=[*key, "series_id"], how="left", maintain_order="left")["images"]
    return slices.filter(axial | keep.is_not_null())


def _fill_places(table: pl.DataFrame, config: SlicesConfig) -> Iterator[tuple[int, int]]:
    """(row, place) for one study and level."""
    blocks = [
        (SeriesDescription.SAGITTAL_T1, _sagittal_places),
        (SeriesDescription.SAGITTAL_T2, _sagittal_places),
        (SeriesDescription.AXIAL_T2, _axial_places),
    ]
    first = 0
    for description, choose in blocks:
        block = table.filter((pl.col("series_description") == description) & pl.col("inside"))
        rows = block["row"].to_numpy()
        places = choose(block["offset_mm"].to_numpy(), config)
        yield from (
            (int(rows[chosen]), first + place)
            for place, chosen in enumerate(places)
            if chosen != MISSING
        )
        first += len(places)


def _sagittal_places(
    offset_mm: npt.NDArray[np.float64], config: SlicesConfig
) -> npt.NDArray[np.int64]:
    """Left side, middle, right side: indices into `offset_mm` (+ left), MISSING where none is.

    Mirroring the patient (negating the offsets) reverses the places.
    """
    sides = {
        sign: _nearest(
            offset_mm,
            sign * config.side_distance_mm,
            config.side_slices,
            config.side_tolerance_mm,
        )
        for sign in (1, -1)
    }
    middle = _nearest(offset_mm, 0.0, config.middle_slices, config.middle_tolerance_mm)
    return np.concatenate(
        [
            _pad(sides[1], config.side_slices, in_front=True),
            _pad_middle(middle, offset_mm, config.middle_slices),
            _pad(sides[-1], config.side_slices, in_front=False),
        ]
    )


def _axial_places(
    offset_mm: npt.NDArray[np.float64], config: SlicesConfig
) -> npt.NDArray[np.int64]:
    """The nearest slices over all series and orientation groups, from top to bottom."""
    chosen = _nearest(offset_mm, 0.0, config.axial_slices, config.axial_tolerance_mm)
    return _pad(chosen, config.axial_slices, in_front=False)


def _nearest(
    offset_mm: npt.NDArray[np.float64], target_mm: float, count: int, tolerance_mm: float
) -> npt.NDArray[np.int64]:
    """Up to `count` indices nearest to `target_mm` and within tolerance, by falling offset."""
    distance = np.abs(offset_mm - target_mm)
    nearest = np.argsort(distance, kind="stable")[:count]
    nearest = nearest[distance[nearest] <= tolerance_mm]
    return nearest[np.argsort(-offset_mm[nearest], kind="stable")]


def _pad(chosen: npt.NDArray[np.int64], count: int, *, in_front: bool) -> npt.NDArray[np.int64]:
    gap = np.full(count - len(chosen), MISSING, dtype=np.int64)
    return np.concatenate([gap, chosen] if in_front else [chosen, gap]).astype(np.int64)


def _pad_middle(
    chosen: npt.NDArray[np.int64], offset_mm: npt.NDArray[np.float64], count: int
) -> npt.NDArray[np.int64]:
    """Centre the chosen; what is odd goes to the side that the slices lean away from."""
    gap = count - len(chosen)
    in_front = gap // 2
    if gap % 2 and len(chosen) and offset_mm[chosen].mean() < 0:
        in_front += 1
    places = np.full(count, MISSING, dtype=np.int64)
    places[in_front : in_front + len(chosen)] = chosen
    return places
