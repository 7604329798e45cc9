"""Crop grids: the crops of each level in the model's order, with distances below."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from lsdc.challenges.lumbar.report.drawing import LEVEL_COLOURS, level_name
from lsdc.challenges.lumbar.report.study import StudyResults
from lsdc.challenges.lumbar.slices.slots import Part, Place
from lsdc.challenges.lumbar.vocabulary import LEVELS, SeriesDescription, Side
from lsdc.report.drawing import BRIGHT, DIM, ROOM, RULE, Box, write

TILE = 86
HEAD = 46  # height of the two lines of headings
CAPTION = 18
NAME = 78  # width of the levels' names at the left
_GAP, _PART_GAP, _SERIES_GAP = 2, 8, 20
ROW = TILE + CAPTION + 6
_SHORT = {
    SeriesDescription.SAGITTAL_T1: "Sagittal T1",
    SeriesDescription.SAGITTAL_T2: "Sagittal T2",
    SeriesDescription.AXIAL_T2: "Axial T2",
}


@dataclass(frozen=True)
class Grid:
    """The layout of a study's crops on a sheet.

    Attributes:
        left, top: the corner of the whole grid, including headings and names.
        places: the meaning of each slot of a sample.
        rows: level and side of each row; None as side means both.
    """

    left: int
    top: int
    places: tuple[Place, ...]
    rows: tuple[tuple[str, str | None], ...]

    @classmethod
    def fit(cls, left: int, top: int, study: StudyResults) -> "Grid":
        """Lay out a row per level, or one per side if the sides have separate samples."""
        sided = any(side for _, side in study.samples)
        sides: list[str | None] = [str(side) for side in Side] if sided else [None]
        rows = tuple((str(level), side) for level in LEVELS for side in sides)
        return cls(left, top, study.places, rows)

    def tile(self, row: int, place: int) -> Box:
        """Return the box of a crop, by its row number and slot number."""
        return Box(self.left + NAME + self._offset(place), self.top + HEAD + row * ROW, TILE, TILE)

    @property
    def width(self) -> int:
        """The width from the levels' names to the last crop."""
        return NAME + self._offset(len(self.places) - 1) + TILE

    @property
    def height(self) -> int:
        """The height from the headings to the last captions."""
        return HEAD + len(self.rows) * ROW

    def runs(self) -> Iterator[tuple[int, int, Place]]:
        """Yield the first and the last slot of each part, and one of its places."""
        first = 0
        for number in range(1, len(self.places) + 1):
            if number == len(self.places) or self._gap(number) > _GAP:
                yield first, number - 1, self.places[first]
                first = number

    def _offset(self, place: int) -> int:
        return sum(TILE + self._gap(number) for number in range(1, place + 1))

    def _gap(self, place: int) -> int:
        """Return the gap before a slot other than the first."""
        here, before = self.places[place], self.places[place - 1]
        if here.description != before.description:
            return _SERIES_GAP
        return _PART_GAP if here.part != before.part else _GAP


def draw_crops(sheet: Image.Image, grid: Grid, study: StudyResults) -> None:
    """Draw headings, crops and, below each, its slice's distance from the level point in mm."""
    _draw_headings(sheet, grid)
    shown = {sample: row for row, sample in enumerate(study.samples)}
    for row, (level, side) in enumerate(grid.rows):
        _name_row(sheet, grid, row)
        sample, offsets = shown.get((level, side)), study.offsets_mm(level, side)
        for number, place in enumerate(grid.places):
            tile = grid.tile(row, number)
            if sample is not None and study.mask[sample, number]:
                crop = study.crops[sample, number]
                draw_tile(sheet, _fit(tile, crop.shape), crop)
                words = slice_distance(place, offsets.get(number))
            else:
                draw_masked(sheet, tile)
                words = "masked"
            below = (tile.left + TILE / 2, tile.bottom + 4)
            colour = DIM if words == "masked" else BRIGHT
            write(sheet, below, words, size=13, colour=colour, anchor="ma")


def _name_row(sheet: Image.Image, grid: Grid, row: int) -> None:
    level, side = grid.rows[row]
    at = (grid.left, grid.tile(row, 0).top + TILE / 2)
    write(sheet, at, level_name(level), size=18, colour=LEVEL_COLOURS[level], anchor="lm")
    if side:
        words = f"{side}, mirrored" if side == Side.RIGHT else side
        for line, word in enumerate(words.split(", ")):
            write(sheet, (at[0], at[1] + 20 + 15 * line), word, size=13, colour=DIM, anchor="lm")


def slice_distance(place: Place, offset_mm: float | None) -> str:
    """Format the slice's distance from the level point, with its direction (L, R; H, F)."""
    if offset_mm is None:
        return ""
    ends = ("H", "F") if place.part == Part.AXIAL else ("L", "R")
    rounded = f"{abs(offset_mm):.1f}"
    return rounded if rounded == "0.0" else f"{rounded} {ends[offset_mm < 0]}"


def draw_tile(sheet: Image.Image, tile: Box, crop: npt.NDArray[np.uint8 | np.uint16]) -> None:
    """Draw a crop of any unsigned integer type, as large as its tile."""
    grey = crop if crop.dtype == np.uint8 else (crop >> 8).astype(np.uint8)
    shown = Image.fromarray(grey).resize((tile.width, tile.height), Image.Resampling.LANCZOS)
    sheet.paste(shown, (tile.left, tile.top))


def _fit(tile: Box, shape: tuple[int, ...]) -> Box:
    """Return the largest box for a crop of this shape in the middle of a tile."""
    rows, columns = (round(tile.width * edge / max(shape)) for edge in shape)
    left, top = tile.left + (tile.width - columns) // 2, tile.top + (tile.height - rows) // 2
    return Box(left, top, columns, rows)


def draw_masked(sheet: Image.Image, tile: Box) -> None:
    """Hatch a slot without a slice; no image is black all over and hatched."""
    edge = tile.width
    hatched = Image.new("RGB", (edge, edge), ROOM)
    draw = ImageDraw.Draw(hatched)
    for start in range(-edge, edge, 12):
        draw.line([(start, edge), (start + edge, 0)], fill=RULE)
    draw.rectangle((0, 0, edge - 1, edge - 1), outline=RULE)
    sheet.paste(hatched, (tile.left, tile.top))


def _draw_headings(sheet: Image.Image, grid: Grid) -> None:
    draw = ImageDraw.Draw(sheet)
    runs = list(grid.runs())
    for first, last, place in runs:
        left, right = grid.tile(0, first).left, grid.tile(0, last).right
        if place.part != Part.AXIAL:
            middle, line = (left + right) / 2, grid.top + HEAD - 5
            write(sheet, (middle, line - 3), place.part, size=14, colour=DIM, anchor="md")
        draw.line([(left, grid.top + HEAD - 5), (right - 1, grid.top + HEAD - 5)], fill=RULE)
    before = None
    for first, _, place in runs:
        if place.description != before:
            at = (grid.tile(0, first).left, grid.top + 18)
            write(sheet, at, _SHORT[place.description], size=16, anchor="ld")
        before = place.description
