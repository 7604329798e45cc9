"""The tiles of a fold: to train on, and to score on after each epoch."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.ink.config.experiment import Experiment
from lsdc.challenges.ink.folds import allowed_rows
from lsdc.challenges.ink.training.places import Places, grid_over, grid_within
from lsdc.challenges.ink.training.samples import TileDraw, TileSamples
from lsdc.challenges.ink.vocabulary import BETA
from lsdc.challenges.ink.volumes.volume import Volume
from lsdc.errors import StageError
from lsdc.messages import counted
from lsdc.store.exact_names import read_parquet

Floats = NDArray[np.float64]

_THRESHOLDS = np.linspace(0.05, 0.95, 19)  # of which an epoch's score takes the best


@dataclass(frozen=True)
class FoldData:
    """The tiles of an experiment's fold.

    Attributes:
        training: the tiles to train on, as an epoch draws them.
        validation: tiles that cover the regions that the fold holds out, once.
    """

    training: TileSamples
    validation: TileSamples

    def score(self, found: NDArray[Any]) -> float:
        """Return 1 - F0.5 of the validation tiles, by their probabilities (n, 1, rows, columns).

        It is at the network's resolution, and at the best of some thresholds, which makes it too
        good: it tells epochs apart, and is not the score of the experiment.
        """
        truth = self.validation.shown_labels
        assert truth.weights is not None
        return 1 - best_fbeta(found, truth.grades, truth.weights)


def best_fbeta(found: NDArray[Any], truth: NDArray[Any], weights: NDArray[Any]) -> float:
    """Return the largest F0.5 over some thresholds, of arrays of any but the same shape.

    >>> best_fbeta(np.array([0.9, 0.2, 0.1]), np.array([1, 0, 0]), np.ones(3))
    1.0
    """
    total, inked, square = (truth * weights).sum(), truth * weights, BETA**2
    scores = []
    for threshold in _THRESHOLDS:
        chosen = found > threshold
        either = square * total + weights[chosen].sum()
        scores.append((1 + square) * inked[chosen].sum() / either if either else 0.0)
    return float(max(scores))


def read_fold(
    experiment: Experiment, fold: int, *, volumes: Path, regions: Path, folds: Path
) -> FoldData:
    """Read where the tiles of a fold lie; see `training.train_fold.FoldJob` for the arguments.

    Raises:
        DataError: a volume is missing, or no row is left to train on.
        StageError: no tile to train on, or none to score on.
    """
    every, placed = read_parquet(regions), read_parquet(folds)
    allowed = allowed_rows(every, placed, fold, experiment.gap_px)
    held_out = every.join(placed.filter(fold=fold), on="region", maintain_order="left")
    names = tuple(dict.fromkeys([*allowed["fragment"], *held_out["fragment"]]))
    opened = tuple(Volume.open(volumes / name) for name in names)
    size, step = experiment.tiles.size_px, experiment.sampling.stride_px

    def ranges(table: pl.DataFrame) -> list[tuple[int, Volume, tuple[int, int]]]:
        rows = table.select("fragment", "first_row", "end_row").rows()
        numbered = [(names.index(name), (first, end)) for name, first, end in rows]
        return [(number, opened[number], own) for number, own in numbered]

    learnt = Places.join(grid_within(*each, size, step) for each in ranges(allowed))
    learnt = learnt.where(learnt.mask >= max(1, experiment.sampling.min_mask * size**2))
    scored = Places.join(grid_over(*each, size) for each in ranges(held_out))
    scored = scored.where(scored.mask > 0)
    if not len(learnt) or not len(scored):
        raise StageError(
            f"fold {fold}: {counted(len(learnt), 'tile')} of {size} px to train on and "
            f"{len(scored)} to score, expected at least one of each; lower tiles.size_px, "
            "sampling.min_mask or split.gap_px, or use other folds"
        )
    training, validation = (
        TileSamples(
            opened, places, experiment.tiles, experiment.model.stride, names, experiment.augment
        )
        for places in (learnt, scored)
    )
    return FoldData(replace(training, draw=draw_of(learnt, experiment)), validation)


def draw_of(places: Places, experiment: Experiment) -> TileDraw | None:
    """Return how many tiles with and without ink an epoch draws; None if it shows all.

    Without `sampling.empty_per_inked`, there are as many of each as by their shares of all tiles.
    """
    config, inked = experiment.sampling, int((places.ink > 0).sum())
    empty, most = len(places) - inked, config.tiles_an_epoch
    if most is None or most >= len(places):
        return None
    share = inked / len(places)
    if config.empty_per_inked is not None:
        share = 1 / (1 + config.empty_per_inked)
    wanted = min(round(share * most), inked)
    return TileDraw(inked=wanted, empty=min(most - wanted, empty))
