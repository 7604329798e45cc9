"""Montages: all slots of a case's sample in one picture, readable at the width of a phone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from PIL import Image

from lsdc.challenges.lumbar.explain.slots import Slot
from lsdc.challenges.lumbar.explain.tiles import (
    CAPTION,
    caption_slot,
    draw_crossing,
    draw_slot,
    mark_point,
    nearest_slots,
    percent,
    scale_maps,
)
from lsdc.challenges.lumbar.report.panels import SAGITTAL
from lsdc.challenges.lumbar.slices.slots import Part
from lsdc.challenges.lumbar.vocabulary import Condition, SeriesDescription
from lsdc.report.drawing import BRIGHT, DIM, GROUND, Box, write

Floats = npt.NDArray[np.float64]

COLUMNS, TILE, GAP, BLOCK_GAP, MARGIN, HEADING, ROW_GAP = 6, 122, 8, 10, 8, 28, 8
STEP = HEADING + TILE + CAPTION + ROW_GAP  # height of a row
_XYZ = ["x_mm", "y_mm", "z_mm"]
_LINE = 24


@dataclass(frozen=True)
class Block:
    """Neighbouring slots of one part and kind of series, in one row of the montage."""

    first: int
    count: int
    row: int
    column: int


def lay_out(slots: Sequence[Slot]) -> list[Block]:
    """Place the blocks of a sample from left to right in rows of COLUMNS slots, in order."""
    blocks: list[Block] = []
    row, column = 0, 0
    for first, count in _runs(slots):
        if column + count > COLUMNS:
            row, column = row + 1, 0
        blocks.append(Block(first, count, row, column))
        column += count
    return blocks


def _runs(slots: Sequence[Slot]) -> Iterator[tuple[int, int]]:
    """Yield the first slot and the number of slots of each block, at most COLUMNS."""
    first = 0
    for number in range(1, len(slots) + 1):
        ends = number == len(slots) or number - first == COLUMNS
        if ends or _part(slots[number]) != _part(slots[first]):
            yield first, number - first
            first = number


def _part(slot: Slot) -> tuple[SeriesDescription, Part]:
    return slot.description, slot.place.part


def draw_montage(
    slots: Sequence[Slot],
    marks: pl.DataFrame,
    weights: Floats,
    maps: Floats,
    *,
    level: str,
    condition: Condition,
    words: str,
) -> Image.Image:
    """Draw all slots of a sample, with what a prediction rests on.

    The condition's points are drawn on the slice of each kind of series that is nearest to them;
    the axial one of these slices is a line on the sagittal crops, and the sagittal one (of the kind
    that shows the condition, if that is sagittal) is a line on the axial crops.

    Args:
        slots: the slots in the model's order.
        marks: the points of the study; see `StudyResults`.
        weights: (slots,) from 0 to 1.
        maps: (slots, cells, cells) from 0 to 1.
        level: the level of the sample.
        condition: the condition that is predicted.
        words: the first of the two lines at the bottom.
    """
    blocks = lay_out(slots)
    rows = 1 + blocks[-1].row
    width = 2 * MARGIN + COLUMNS * (TILE + GAP) - GAP + BLOCK_GAP
    sheet = Image.new("RGB", (width, 2 * MARGIN + rows * STEP + 2 * _LINE), GROUND)
    own = marks.filter(level=level, condition=str(condition))
    points = own.sort("kind").select(_XYZ).to_numpy()  # the predicted point is the last one
    marked = nearest_slots(slots, points[-1:]) if len(points) else {}
    most, strongest, heats = float(weights.max()), float(maps.max()), scale_maps(maps)
    for block in blocks:
        top = MARGIN + block.row * STEP
        for number in range(block.first, block.first + block.count):
            left = _left(block) + (number - block.first) * (TILE + GAP)
            tile = Box(left, top + HEADING, TILE, TILE)
            slot, heat = slots[number], heats[number]
            has_edges = slot.is_axial or number == block.first
            panel = draw_slot(sheet, tile, slot, heat, has_edges=has_edges)
            if panel is not None:
                other = _crossing(slot, marked, condition)
                if other is not None:
                    draw_crossing(sheet, panel, slots[other], level)
                if marked.get(slot.description) == number:
                    mark_point(sheet, panel, own, condition)
            caption_slot(sheet, tile, slot, float(weights[number]), most)
        _head(sheet, block, slots, weights, (_left(block), top))
    bottom = MARGIN + rows * STEP
    write(sheet, (MARGIN, bottom), words, size=18, colour=DIM)
    effect = f"Red: hiding a part moves up to {100 * strongest:.1f} % of the probability elsewhere."
    write(sheet, (MARGIN, bottom + _LINE), effect, size=18, colour=DIM)
    return sheet


def _left(block: Block) -> int:
    return MARGIN + block.column * (TILE + GAP) + (BLOCK_GAP if block.column else 0)


def _head(
    sheet: Image.Image,
    block: Block,
    slots: Sequence[Slot],
    weights: Floats,
    at: tuple[int, int],
) -> None:
    """Write the name of a block and the sum of its weights above it."""
    first = slots[block.first]
    name = str(first.description) if first.is_axial else first.place.name
    total = float(weights[block.first : block.first + block.count].sum())
    write(sheet, at, name, size=20, colour=BRIGHT)
    right = at[0] + block.count * (TILE + GAP) - GAP
    write(sheet, (right, at[1]), percent(total), size=18, colour=DIM, anchor="ra")


def _crossing(slot: Slot, marked: dict[SeriesDescription, int], condition: Condition) -> int | None:
    """Return the slot whose slice is drawn as a line on this one; None if there is none."""
    if slot.is_axial:
        kinds = [kind for kind in (condition.shown_on, *SAGITTAL) if kind in SAGITTAL]
    else:
        kinds = [SeriesDescription.AXIAL_T2]
    return next((marked[kind] for kind in kinds if kind in marked), None)
