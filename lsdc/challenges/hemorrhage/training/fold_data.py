"""The slices and labels of a fold: for training, for scoring and for prediction."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.config.experiment import Experiment
from lsdc.challenges.hemorrhage.scoring.metric import score_arrays
from lsdc.challenges.hemorrhage.training.samples import (
    NAMES,
    as_rows,
    as_samples,
    count_times,
    drawing_weights,
    label_array,
    read_slices,
)
from lsdc.errors import StageError
from lsdc.messages import counted
from lsdc.store.exact_names import read_parquet
from lsdc.training.samples import Samples
from lsdc.training.sampling.order import StudyDraw


@dataclass(frozen=True)
class FoldData:
    """The slices and labels of an experiment's fold.

    Attributes:
        experiment: the experiment.
        fold: the fold that is predicted and not trained on.
        slices: the folder with slices.npy.
        every: all slices of the folder, as of `samples.read_slices`, with fold (null without one).
        held_out: the slices of the holdout patients, who are in no fold.
        labels: image_id and the six labels, of the holdout as well.
    """

    experiment: Experiment
    fold: int
    slices: Path
    every: pl.DataFrame
    held_out: pl.DataFrame
    labels: pl.DataFrame

    @property
    def inside(self) -> pl.DataFrame:
        """The slices of this fold."""
        return self.every.filter(fold=self.fold)

    @property
    def outside(self) -> pl.DataFrame:
        """The slices of the other folds."""
        return self.every.filter(pl.col("fold") != self.fold)

    @property
    def learnt(self) -> pl.DataFrame:
        """The slices of the other folds that show enough to be trained on."""
        return self.outside.filter(pl.col("content") >= self.experiment.sampling.min_content)

    @property
    def validation(self) -> Samples:
        """The samples of this fold with their labels."""
        return as_samples(self.slices, self.inside, self.experiment, self.labels)

    @property
    def training(self) -> Samples:
        """The samples to train on, as an epoch shows them.

        Raises:
            StageError: all are too empty.
        """
        config = self.experiment.sampling
        learnt = self.learnt
        if not len(learnt):
            raise StageError(
                f"fold {self.fold}: none of {counted(len(self.outside), 'slice')} to train on has "
                f"a share of {config.min_content:g} with 0 to 80 HU; lower sampling.min_content"
            )
        samples = as_samples(self.slices, learnt, self.experiment, self.labels)
        times = count_times(samples.labels.grades[:, 0], config.oversample)
        if config.slices_a_study is None:
            return replace(samples, repeats=times)
        weights = drawing_weights(learnt, times, config.middle)
        return replace(samples, draw=StudyDraw(config.slices_a_study, weights))

    def outside_labels(self, table: pl.DataFrame) -> NDArray[np.float32]:
        """Return the labels (n, 6) of those slices of a table that are in other folds, else NaN."""
        others = table.select((pl.col("fold") != self.fold).fill_null(value=False)).to_series()
        found = label_array(table, self.labels)
        found[~others.to_numpy()] = np.nan
        return found

    def score(self, found: NDArray[Any]) -> float:
        """Return the competition's metric of the fold's predictions (n, 1, 6) or (n, 6)."""
        return score_of(label_array(self.inside, self.labels), found)

    def beside_labels(self, probabilities: NDArray[np.float64]) -> pl.DataFrame:
        """Return the predictions (n, 6) of the fold as in `scoring.oof.OutOfFold`."""
        return _beside(self.inside, probabilities, self.labels, ["study_id", "patient", "fold"])

    def beside_held_out(self, probabilities: NDArray[np.float64]) -> pl.DataFrame:
        """Return the predictions (n, 6) of the holdout as in `scoring.oof.HeldOut`."""
        return _beside(self.held_out, probabilities, self.labels, ["study_id", "patient"])


def score_of(labels: NDArray[np.float32], found: NDArray[Any]) -> float:
    """Return the metric of probabilities (n, 1, 6) or (n, 6) where labels (n, 6) are known."""
    known = ~np.isnan(labels).any(axis=1)
    probabilities = found.reshape(labels.shape).astype(np.float64)
    return score_arrays(labels[known].astype(np.int8), probabilities[known]).score


def read_fold(
    experiment: Experiment,
    fold: int,
    *,
    slices: Path,
    labels: Path,
    folds: Path,
    holdout: Path | None,
) -> FoldData:
    """Read the tables of earlier stages; see `training.train_fold.FoldJob` for the arguments.

    Raises:
        StageError: no slices to predict, or none to train on.
    """
    own = read_parquet(folds).select("image_id", "fold")
    every = read_slices(slices).join(own, on="image_id", how="left", maintain_order="left")
    held_out, known = every.clear(), read_parquet(labels).select("image_id", *NAMES)
    if holdout is not None:
        images = read_parquet(holdout).select("image_id", *NAMES)
        held_out = every.join(images, on="image_id", how="semi", maintain_order="left")
        known = pl.concat([known, images])
    data = FoldData(experiment, fold, slices, every, held_out, known)
    if not len(data.inside) or not len(data.outside):
        raise StageError(
            f"fold {fold}: {counted(len(data.inside), 'slice')} to predict and "
            f"{len(data.outside)} to train on, expected at least one of each; images that cannot "
            "be read (see the log) have no slices; use fewer folds or more patients"
        )
    return data


def _beside(
    table: pl.DataFrame, probabilities: NDArray[np.float64], labels: pl.DataFrame, keys: list[str]
) -> pl.DataFrame:
    named = labels.select("image_id", pl.col(NAMES).name.prefix("label_"))
    return (
        table.select("image_id", *keys)
        .join(named, on="image_id", how="left", maintain_order="left")
        .hstack(as_rows(table, probabilities).drop("image_id"))
    )
