"""Predict a map of probabilities over rows of a fragment, tile by tile, into a file."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.ink.config.experiment import Experiment
from lsdc.challenges.ink.inference.accumulator import Accumulator
from lsdc.challenges.ink.inference.grid import Grid, lay_grid
from lsdc.challenges.ink.inference.views import View, turn_of, views_of
from lsdc.challenges.ink.inference.weights import inner, tile_weights
from lsdc.store.files import reserve

Predict = Callable[[NDArray[Any]], NDArray[np.float32]]
"""From tiles (n, layers, size, size) to probabilities (n, size, size)."""
OnTiles = Callable[[int, int], None]
"""Called with the number of tiles done, and of all."""

SAVE_SECONDS = 20.0  # between two savings of the state, from which a killed prediction goes on
_UNCHANGED = (View(),)


class Pixels(Protocol):
    """A fragment whose tiles can be read."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns, layers."""

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Where the fragment is, (rows, columns)."""

    def tile(self, row: int, column: int, size: int) -> NDArray[Any]:
        """Return a tile (size, size, layers); 0 outside the frame."""


@dataclass(frozen=True)
class MapFiles:
    """The files of a map while it is made: the map itself, and the state to go on from."""

    out: Path

    @property
    def making(self) -> Path:
        """The map, not complete yet."""
        return self.out.with_name(f"{self.out.stem}.making.npy")

    @property
    def state(self) -> Path:
        """The rows of tiles that are done, and the rows of pixels that are not complete."""
        return self.out.with_name(f"{self.out.stem}.state.npz")


def predict_map(
    volume: Pixels,
    rows: tuple[int, int],
    predict: Predict,
    experiment: Experiment,
    out: Path,
    *,
    identity: str,
    on_tiles: OnTiles = lambda _done, _all: None,
    save_seconds: float = SAVE_SECONDS,
) -> None:
    """Write the probabilities of ink over rows of a fragment, as a `.npy` of float16.

    What a killed call left beside `out` is gone on from, and the map is the same to the bit: tiles
    are predicted together only with others of their row of tiles. Pixels outside the mask are 0.
    Memory is that of a batch, and of twice a tile's rows over all columns, as float32.

    Args:
        volume: the fragment.
        rows: the first row, and the row after the last one.
        predict: predicts tiles, with the mean of all models.
        experiment: its tiles and its inference.
        out: the file to write: (rows, columns).
        identity: a fingerprint of everything that the map depends on; what was left by a call with
            another one is begun again.
        on_tiles: called after each batch.
        save_seconds: time between two savings of the state.

    Raises:
        NoSpaceError: the disk is too small; raised before anything is predicted.
    """
    inference, size = experiment.inference, experiment.tiles.size_px
    shape = volume.shape[:2]
    grid = lay_grid(*rows, shape, size=size, stride=experiment.stride_px, edge=inference.edge_px)
    files, weights = MapFiles(out), tile_weights(inference.weights, size)
    sums = Accumulator(size, shape[1], grid.rows[0])
    begun = _go_on(files, sums, identity)
    if begun == 0:
        _begin(files.making, (rows[1] - rows[0], shape[1]))
    saved = time.monotonic()
    for number in range(begun, len(grid.rows)):
        row, done = grid.rows[number], number * len(grid.columns)
        for columns, maps in _predict_row(volume, number, grid, predict, experiment):
            for place, values in zip(columns, maps, strict=True):
                column = grid.columns[place]
                sums.add(values, weights, column, inner(grid, row, column))
            on_tiles(done + columns[-1] + 1, grid.tiles)
        is_last = number + 1 == len(grid.rows)
        until = rows[1] if is_last else grid.rows[number + 1]
        _write(files.making, sums, volume, grid, until)
        if not is_last and time.monotonic() - saved >= save_seconds:
            sums.save(files.state, done=number + 1, identity=identity)
            saved = time.monotonic()
        on_tiles((number + 1) * len(grid.columns), grid.tiles)
    files.making.replace(out)
    files.state.unlink(missing_ok=True)


def _go_on(files: MapFiles, sums: Accumulator, identity: str) -> int:
    """Return how many rows of tiles an earlier call has finished, and load its sums."""
    if not (files.state.is_file() and files.making.is_file()):
        return 0
    return sums.load(files.state, identity=identity)


def _begin(path: Path, shape: tuple[int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
    start = array.offset
    del array
    reserve(path, start + int(np.prod(shape)) * np.dtype(np.float16).itemsize)


def _predict_row(
    volume: Pixels, number: int, grid: Grid, predict: Predict, experiment: Experiment
) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
    """Yield the places in a row of tiles, and their probabilities (n, size, size), by batch.

    Tiles without a pixel of the mask are left out.
    """
    row, size, most = grid.rows[number], grid.size, experiment.inference.batch_size
    wanted = [
        place
        for place, column in enumerate(grid.columns)
        if volume.mask[row : row + size, column : column + size].any()
    ]
    for start in range(0, len(wanted), most):
        places = wanted[start : start + most]
        tiles = [volume.tile(row, grid.columns[place], size) for place in places]
        # (n, size, size, layers) -> (n, layers, size, size)
        stack = np.stack(tiles).transpose(0, 3, 1, 2)
        turns = [turn_of(number, place, len(_views(experiment))) for place in places]
        yield places, _predict_views(stack, turns, predict, experiment)


def _views(experiment: Experiment) -> Sequence[View]:
    tta = experiment.inference.tta
    return _UNCHANGED if tta == "none" else views_of(experiment.inference.views)


def _predict_views(
    stack: NDArray[Any], turns: Sequence[int], predict: Predict, experiment: Experiment
) -> NDArray[np.float32]:
    """Return the means over the views and the windows of layers: (n, size, size)."""
    views, shifts = _views(experiment), experiment.inference.layer_shifts
    passes = range(len(views)) if experiment.inference.tta == "full" else [0]
    total = np.zeros((len(stack), *stack.shape[-2:]), np.float32)
    for each in passes:
        own = [views[(turn + each) % len(views)] for turn in turns]
        for shift in shifts:
            window = _window(stack, experiment, shift)
            shown = [view.show(tile) for view, tile in zip(own, window, strict=True)]
            maps = predict(np.ascontiguousarray(np.stack(shown)))
            total += np.stack([view.undo(one) for view, one in zip(own, maps, strict=True)])
    total /= len(passes) * len(shifts)
    return total


def _window(stack: NDArray[Any], experiment: Experiment, shift: int) -> NDArray[Any]:
    """Return the window of layers (n, layers, size, size), moved by `shift`."""
    tiles = experiment.tiles
    return stack[:, tiles.first_layer + shift : tiles.end_layer + shift]


def _write(path: Path, sums: Accumulator, volume: Pixels, grid: Grid, until: int) -> None:
    """Write the rows that are complete before `until` into the map."""
    first = sums.first_row
    means = sums.advance(until)
    begin, end = max(first, grid.first_row), min(first + len(means), grid.end_row)
    if begin >= end:
        return
    inside = np.asarray(volume.mask[begin:end])
    written = np.where(inside, means[begin - first : end - first], 0).clip(0, 1)
    out = np.lib.format.open_memmap(path, mode="r+")
    out[begin - grid.first_row : end - grid.first_row] = written.astype(np.float16)
    out.flush()
