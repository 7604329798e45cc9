"""The views of a tile: reflections and turns, exact to the pixel, and back."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Tiles = NDArray[np.generic]  # (..., layers, rows, columns)
Maps = NDArray[np.float32]  # (..., rows, columns)


@dataclass(frozen=True)
class View:
    """A tile flipped along some axes, then turned by quarters counter-clockwise."""

    flip_layers: bool = False
    flip_rows: bool = False
    flip_columns: bool = False
    turns: int = 0

    def show(self, tiles: Tiles) -> Tiles:
        """Return the tiles as the model sees them; a view of the same memory."""
        axes = (self.flip_layers, self.flip_rows, self.flip_columns)
        flipped = tuple(axis for axis, wanted in zip((-3, -2, -1), axes, strict=True) if wanted)
        return np.rot90(np.flip(tiles, flipped), self.turns, axes=(-2, -1))

    def undo(self, maps: Maps) -> Maps:
        """Return maps of shown tiles as they lie on the unchanged tiles."""
        axes = (self.flip_rows, self.flip_columns)
        flipped = tuple(axis for axis, wanted in zip((-2, -1), axes, strict=True) if wanted)
        return np.flip(np.rot90(maps, -self.turns, axes=(-2, -1)), flipped)


def views_of(kind: str) -> tuple[View, ...]:
    """Return the views of a setting, the unchanged tile first.

    >>> len(views_of("flips_and_layers"))
    8
    """
    flips = tuple(
        View(flip_rows=rows, flip_columns=columns)
        for rows, columns in ((False, False), (True, False), (False, True), (True, True))
    )
    turns = tuple(View(turns=turn) for turn in range(4))
    return {
        "flips": flips,
        "flips_and_layers": (
            *flips,
            *(View(True, each.flip_rows, each.flip_columns) for each in flips),
        ),
        "rotations": turns,
        "square": (*turns, *(View(flip_columns=True, turns=turn) for turn in range(4))),
    }[kind]


def turn_of(row: int, column: int, views: int) -> int:
    """Return which of the views a tile gets in turn, by its place in the grid.

    Any two by two neighbours get four different ones, and four by four get eight.
    """
    return (column + 2 * row) % views
