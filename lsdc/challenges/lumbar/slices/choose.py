"""Slices: choose the images that show a level; missing slices leave their slot empty.

The methods are in `slices.sagittal` and `slices.axial`, the slots in `slices.slots`.
"""

from collections.abc import Iterator
from itertools import groupby

import numpy as np
import polars as pl

from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.slices.axial import choose_axial
from lsdc.challenges.lumbar.slices.sagittal import choose_sagittal
from lsdc.challenges.lumbar.slices.slots import Part, Place, list_stored
from lsdc.challenges.lumbar.slices.stacks import LEVEL, MISSING, Indices, Stack, line_up
from lsdc.challenges.lumbar.vocabulary import SeriesDescription

_SAGITTAL = (SeriesDescription.SAGITTAL_T1, SeriesDescription.SAGITTAL_T2)

_Chosen = tuple[int, Place, bool]  # a row of the table, its slot, and whether it was chosen


def choose_slices(slices: pl.DataFrame, config: SlicesConfig) -> pl.DataFrame:
    """Choose up to `config.count` slices for every study and level of `slices`.

    Args:
        slices: `slices.parquet` of `slices.slice_offsets`, in any order of rows.
        config: the slice settings: numbers of slices and methods.

    Returns:
        The chosen rows of `slices`, with the slot as `place` (0 .. config.count - 1, see
        `list_places`), sorted by study, level and place. An empty slot has no row; a slice may
        fill two slots.
    """
    central = config.model_copy(update={"spare_slices": 0})
    return choose_stored(slices, central).drop("chosen")


def choose_stored(slices: pl.DataFrame, config: SlicesConfig) -> pl.DataFrame:
    """Choose the slices that are stored: those of `choose_slices`, and spare ones beside them.

    With `config.spare_slices` the run of slices of a part continues in its stack, at both ends and
    into slots that the choice leaves empty; see `Stack.with_spare`.

    Returns:
        The same as `choose_slices`, but `place` is the stored slot (see `list_stored`), and
        `chosen` says whether the slice is one of `choose_slices`.
    """
    table = line_up(slices)
    stack = Stack.from_table(table)
    places = {place: number for number, place in enumerate(list_stored(config))}
    filled: list[tuple[int, int, bool]] = []
    for kinds in _levels(table):
        level = {kind: stack.take(span) for kind, span in kinds.items()}
        filled += (
            (row, places[place], chosen)
            for row, place, chosen in _choose_level(level, config)
            if place in places
        )
    schema = {"row": pl.Int64, "place": pl.Int32, "chosen": pl.Boolean}
    chosen = pl.DataFrame(filled, schema=schema, orient="row")
    return (
        chosen.join(table, on="row", how="left", maintain_order="left")
        .drop("row")
        .sort("study_id", "level", "place")
    )


def _levels(table: pl.DataFrame) -> Iterator[dict[str, slice]]:
    """Yield the row spans of each kind of series, for each study and level of a sorted table."""
    key = [*LEVEL, "series_description"]
    runs = table.group_by(key, maintain_order=True).agg(
        first=pl.col("row").first(), end=pl.col("row").last() + 1
    )
    for _, kinds in groupby(runs.iter_rows(), key=lambda run: run[:3]):
        yield {kind: slice(first, end) for *_, kind, first, end in kinds}


def _choose_level(kinds: dict[str, Stack], config: SlicesConfig) -> Iterator[_Chosen]:
    """Yield the chosen slices of one level, from the stack of each kind of series."""
    image_share = np.nan
    for description in _SAGITTAL:
        if description in kinds:
            stack, parts = _choose_series(kinds[description], config)
            image_share = float(stack.image_share[0])  # ends as that of T2, if there is one
            for part, chosen in parts.items():
                yield from _name(description, part, stack, chosen, config.spare_slices)
    axial = SeriesDescription.AXIAL_T2
    if axial in kinds:
        stack, chosen = choose_axial(kinds[axial], config, image_share=image_share)
        yield from _name(axial, Part.AXIAL, stack, chosen, config.spare_slices)


def _name(
    description: SeriesDescription, part: Part, stack: Stack, chosen: Indices, spare: int
) -> Iterator[_Chosen]:
    stored = stack.with_spare(chosen, spare) if spare else chosen
    for number, index in enumerate(stored, start=-spare):
        if index != MISSING:
            within = 0 <= number < len(chosen) and bool(chosen[number] == index)
            yield int(stack.row[index]), Place(description, part, number), within


def _choose_series(stack: Stack, config: SlicesConfig) -> tuple[Stack, dict[Part, Indices]]:
    """Choose slices from the series of a kind that fills the most slots.

    By distance, a series with several stacks is used as a whole only if that fills more slots than
    one stack: two stacks through one place show it twice. Ties go to the series with more slices,
    then to the lowest id.
    """
    found = [
        (choose_sagittal(candidate, config), single)
        for candidate, single in _candidates(stack, config)
    ]
    return max(found, key=lambda choice: (_filled(choice[0][1]), choice[1], len(choice[0][0])))[0]


def _candidates(stack: Stack, config: SlicesConfig) -> Iterator[tuple[Stack, bool]]:
    """Yield each series, and each stack of a series with several, and whether it is one stack."""
    several = len(set(stack.series_id.tolist())) > 1
    for series in np.unique(stack.series_id) if several else stack.series_id[:1]:
        whole = stack.take(np.flatnonzero(stack.series_id == series)) if several else stack
        numbers = set(whole.stack.tolist())
        yield whole, len(numbers) == 1
        if len(numbers) > 1 and config.by_distance:
            for number in sorted(numbers):
                yield whole.take(np.flatnonzero(whole.stack == number)), True


def _filled(parts: dict[Part, Indices]) -> int:
    return sum(int((indices != MISSING).sum()) for indices in parts.values())
