"""Parts of a fragment as pictures show them: layers, labels, map and mask, all reduced."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.ink.config.experiment import Experiment
from lsdc.challenges.ink.config.tiles import TilesConfig
from lsdc.challenges.ink.masks.rule import make_mask
from lsdc.challenges.ink.report.sources import RunSource
from lsdc.challenges.ink.volumes.volume import Volume

Grey = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Seen:
    """Rows of a fragment, every `step`-th pixel in both directions.

    Attributes:
        layers: (rows, columns, layers), from 0 to 255.
        inside: where the fragment is, (rows, columns).
        labels: ink; None of a test fragment.
        probabilities: the map from 0 to 1; None where nothing was predicted.
        ink: the mask that is made of it.
        step: the step in pixels.
    """

    layers: Grey
    inside: Mask
    labels: Mask | None
    probabilities: NDArray[np.float32] | None
    ink: Mask | None
    step: int


def middle_layer(run: RunSource) -> int:
    """Return the layer in the middle of the tiles of a run."""
    return middle_of(Experiment.model_validate(run.experiment).tiles)


def middle_of(tiles: TilesConfig) -> int:
    """Return the layer in the middle of tiles."""
    return (tiles.first_layer + tiles.end_layer) // 2


def see(
    run: RunSource,
    volume: Volume,
    regions: pl.DataFrame,
    *,
    most: int,
    layers: slice,
) -> Seen:
    """Return rows of a fragment as pictures show them.

    Args:
        run: the run.
        volume: the fragment.
        regions: neighbouring regions of it: `region`, `first_row`, `end_row`, `fold`.
        most: the largest number of rows or columns of the result.
        layers: which layers are read.
    """
    first, end = int(regions["first_row"][0]), int(regions["end_row"][-1])
    found = list(_maps(run, volume, regions))
    whole = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    maps = (whole[0], whole[1].astype(bool)) if whole else (None, None)
    return look(volume, (first, end), *maps, most=most, layers=layers)


def look(
    volume: Volume,
    rows: tuple[int, int],
    probabilities: NDArray[np.float16] | None,
    ink: Mask | None,
    *,
    most: int,
    layers: slice,
) -> Seen:
    """Reduce rows of a fragment to a picture's size.

    Args:
        volume: the fragment.
        rows: the first row, and the row after the last one.
        probabilities: the map of these rows, (rows, columns); None without one.
        ink: the mask that is made of it.
        most: the largest number of rows or columns of the result.
        layers: which layers are read.
    """
    first, end = rows
    step = max(1, -(-max(end - first, volume.shape[1]) // most))
    shown = slice(first, end, step)
    pixels = np.stack([np.asarray(row[::step, layers]) for row in volume.pixels[shown]])
    inside = np.asarray(volume.mask[shown, ::step])
    labels = None if volume.labels is None else np.asarray(volume.labels[shown, ::step])
    return Seen(
        layers=_stretched(pixels, inside),
        inside=inside,
        labels=labels,
        probabilities=(
            None if probabilities is None else probabilities[::step, ::step].astype(np.float32)
        ),
        ink=None if ink is None else ink[::step, ::step],
        step=step,
    )


def _maps(
    run: RunSource, volume: Volume, regions: pl.DataFrame
) -> Iterator[tuple[NDArray[np.float16], Mask]]:
    """Yield the map of each region and its mask; nothing of a fragment without maps."""
    paths = {row["region"]: run.map_of(row["region"], row["fold"]) for row in regions.to_dicts()}
    if not any(paths.values()):
        return
    for row in regions.to_dicts():
        inside = np.asarray(volume.mask[row["first_row"] : row["end_row"]])
        path = paths[row["region"]]
        if path is None:
            yield np.zeros(inside.shape, np.float16), np.zeros(inside.shape, bool)
        else:
            probabilities = np.load(path, mmap_mode="r")
            yield probabilities, make_mask(probabilities, inside, run.rules.of(row["fold"]))


def _stretched(pixels: NDArray[np.unsignedinteger], inside: Mask) -> Grey:
    """Return the pixels from the darkest to the brightest of most of them, as 0 to 255."""
    if not inside.any():
        return np.zeros(pixels.shape, np.uint8)
    low, high = np.percentile(pixels[inside], (0.5, 99.5))
    scaled = (pixels.astype(np.float32) - low) / max(high - low, 1) * 255
    grey: Grey = (scaled.clip(0, 255) * inside[..., None]).astype(np.uint8)
    return grey
