"""Spare slices: those that would be chosen if the point were some slices away."""

from typing import Any

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.slices.choose import choose_slices, choose_stored
from lsdc.challenges.lumbar.slices.slots import (
    Part,
    Place,
    list_places,
    list_stored,
    stored_places,
)
from lsdc.challenges.lumbar.vocabulary import SeriesDescription
from lsdc.training.frames import Frame, Move
from tests.challenges.lumbar.slice_tables import AXIAL, T1, T2, slices_at

STEP_MM = 4.0


def stack(kind: str, count: int, first: float) -> pl.DataFrame:
    """Return slices at equal steps, the first of which is `first` steps from the point."""
    return slices_at(kind, [STEP_MM * (first - number) for number in range(count)])


def instances(table: pl.DataFrame, config: SlicesConfig) -> list[int | None]:
    chosen = choose_slices(table, config)
    found = dict(zip(chosen["place"], chosen["instance_number"], strict=True))
    return [found.get(number) for number in range(config.count)]


def moved(table: pl.DataFrame, config: SlicesConfig, along: int) -> list[int | None]:
    """Return the instance in each slot after a move of the stored slices."""
    stored = choose_stored(table, config)
    count = len(list_stored(config))
    kept, mask = np.zeros((1, count), bool), np.zeros(count, bool)
    slices = np.zeros((count, 1, 1), int)
    kept[0, stored["place"]] = True
    mask[stored.filter("chosen")["place"]] = True
    slices[stored["place"], 0, 0] = stored["instance_number"]
    slots = np.array(stored_places(config))
    none = np.zeros(len(slots), int)
    shown, present = Frame((1, 1), slots, kept).show(
        slices, mask[slots], 0, Move(np.full(len(slots), along), none, none)
    )
    return [
        int(number) if there else None
        for number, there in zip(shown[:, 0, 0], present, strict=True)
    ]


def test_stored_slots_have_spare_ones_around_each_part() -> None:
    config = SlicesConfig(side_slices=1, middle_slices=2, axial_slices=0, spare_slices=2)
    names = [(place.name, place.number) for place in list_stored(config)]
    assert names[:5] == [("T1 left", number) for number in range(-2, 3)]
    assert names[5:11] == [("T1 middle", number) for number in range(-2, 4)]
    assert [list_stored(config)[number] for number in stored_places(config)] == list(
        list_places(config)
    )


def test_without_spare_slices_the_stored_slots_are_those_of_a_sample() -> None:
    table = pl.concat([stack(T1, 15, 7.2), stack(T2, 13, 5.9), stack(AXIAL, 9, 3.6)])
    config = SlicesConfig()
    assert list_stored(config) == list_places(config)
    assert choose_stored(table, config).drop("chosen").equals(choose_slices(table, config))


@settings(max_examples=30, deadline=None)
@given(st.integers(-2, 2), st.floats(8.6, 9.4), st.sampled_from(["distance", "argmin"]))
def test_a_move_shows_what_a_point_so_many_slices_away_would_choose(
    away: int, first: float, way: Any
) -> None:
    config = SlicesConfig(sagittal=way, axial=way, spare_slices=2)
    kinds = (T1, T2, AXIAL)
    table = pl.concat([stack(kind, 19, first) for kind in kinds])
    mistaken = pl.concat([stack(kind, 19, first + away) for kind in kinds])
    # The point is lower in the order of slices if the first slice is farther away.
    assert moved(table, config, away) == instances(mistaken, config)


@settings(max_examples=40, deadline=None)
@given(st.integers(-2, 2), st.integers(1, 12), st.floats(-1.5, 8.0))
def test_a_move_shows_slices_so_many_places_further_in_their_stack(
    away: int, count: int, first: float
) -> None:
    """Also at the ends of a stack, where slots become empty, or are filled for the first time."""
    config = SlicesConfig(side_slices=2, axial_slices=3, spare_slices=2)
    table = pl.concat([stack(kind, count, first) for kind in (T1, T2, AXIAL)])
    before, after = moved(table, config, 0), moved(table, config, away)
    assert before == instances(table, config)
    for part in {(place.description, place.part) for place in list_places(config)}:
        own = [n for n, place in enumerate(list_places(config)) if part == part_of(place)]
        run = [(before[n] or 0) - number for number, n in enumerate(own) if before[n]]
        for number, n in enumerate(own):
            there = run[0] + number + away if run else 0  # the instance that belongs there
            if after[n] is None:
                too_far = before[n] is None and 1 <= run[0] + number <= count if run else True
                assert too_far or not 1 <= there <= count
            else:
                assert after[n] == there


def part_of(place: Place) -> tuple[SeriesDescription, Part]:
    return place.description, place.part
