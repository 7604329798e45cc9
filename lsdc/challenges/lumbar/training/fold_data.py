"""The samples and labels of a fold: for training, for scoring and for prediction."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.scoring.doubt import doubted_labels, without_labels
from lsdc.challenges.lumbar.scoring.metric import score
from lsdc.challenges.lumbar.training.jitter import PointJitter
from lsdc.challenges.lumbar.training.labels import keep_graded, labels_to_learn
from lsdc.challenges.lumbar.training.samples import as_rows, as_samples, count_repeats, read_table
from lsdc.challenges.lumbar.vocabulary import Side
from lsdc.errors import StageError
from lsdc.messages import counted
from lsdc.store.exact_names import read_parquet
from lsdc.training.frames import Frame
from lsdc.training.samples import Samples

_LEVEL = ["study_id", "level"]
_CELL = [*_LEVEL, "condition"]


@dataclass(frozen=True)
class FoldData:
    """The samples and labels of an experiment's fold.

    Attributes:
        experiment: the experiment.
        left_out: the validation fold; for a judge of labels, two folds.
        crops: the folder with crops.npy.
        inside: samples of these folds: row, study_id, level, side, mask, fold.
        outside: samples of the other folds.
        held_out: samples of the holdout studies, which are in no fold.
        labels: study_id, condition, level, grade (null where none was given).
        marks: the annotated slices, as in `crops.marks`; None if they are not learnt.
    """

    experiment: Experiment
    left_out: tuple[int, ...]
    crops: Path
    inside: pl.DataFrame
    outside: pl.DataFrame
    held_out: pl.DataFrame
    labels: pl.DataFrame
    marks: pl.DataFrame | None = None

    @property
    def known(self) -> pl.DataFrame:
        """The labels of these folds, used for scoring only."""
        return self.labels.join(self.inside, on=_LEVEL, how="semi")

    @property
    def validation(self) -> Samples:
        """The samples of these folds with their labels."""
        return self._labelled(self.inside, self.known)

    def doubted(self, judges: Sequence[Path]) -> pl.DataFrame | None:
        """Return the labels that are left out of training, of `doubted_labels`; None without any.

        Args:
            judges: the folders of the judges of this fold; empty without `labels.distrust`.
        """
        share = self.experiment.labels.distrust
        if not judges or not share:
            return None
        (fold,) = self.left_out
        return doubted_labels(judges, fold=fold, share=share)

    def training(self, fill_from: Path | None, doubted: pl.DataFrame | None = None) -> Samples:
        """Return the other folds' samples, repeated as an epoch shows them.

        Args:
            fill_from: predictions for missing grades, by a model trained without this fold.
            doubted: the labels to leave out.
        """
        config = self.experiment.labels
        predicted = read_parquet(fill_from) if fill_from else None
        soft = self.experiment.loss.labels == "soft"
        labels = labels_to_learn(self.labels, config, predicted, soft=soft)
        if doubted is not None:
            labels = without_labels(labels, doubted)
        learnt = self.outside.join(labels, on=_LEVEL, how="semi", maintain_order="left")
        samples = self._labelled(learnt, labels)
        return replace(
            samples,
            repeats=count_repeats(samples.labels.grades, config.oversample),
            frame=self._moved(samples, learnt),
        )

    def _moved(self, samples: Samples, table: pl.DataFrame) -> Frame | None:
        """Return the samples' frame, with the errors of points that training draws."""
        augment = self.experiment.augment
        if samples.frame is None or not (augment.point_mm or augment.point_slices):
            return samples.frame
        jitter = PointJitter(
            self.experiment,
            self.crops,
            rows=samples.rows,
            of_right=table["side"].eq_missing(Side.RIGHT).to_numpy(),
            studies=self.outside["study_id"].unique(),
        )
        return replace(samples.frame, draw=jitter)

    @property
    def without_label(self) -> pl.DataFrame:
        """The other folds' samples of levels without a grade; with context, of whole studies."""
        context = self.experiment.model.study_context != "none"
        key = ["study_id"] if context else _LEVEL
        return self.outside.join(self._ungraded, on=key, how="semi", maintain_order="left")

    def filling(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the predictions of such samples whose grade is missing."""
        return rows.join(self._ungraded, on=_CELL, how="semi", maintain_order="left")

    def rows(self, samples: pl.DataFrame, found: NDArray[Any]) -> pl.DataFrame:
        """Return predictions (n, conditions, grades) as one row per level and condition."""
        return keep_graded(as_rows(samples, found), self.experiment.labels)

    def score(self, found: NDArray[Any]) -> float:
        """Return the competition's metric of the fold's predictions; NaN without any label."""
        known = self.known
        if not known["grade"].count():
            return math.nan
        return score(known, self.rows(self.inside, found)).score

    def beside_labels(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Add fold and label to out-of-fold predictions, as in `scoring.oof.OutOfFold`."""
        grades = self.labels.rename({"grade": "label"})
        folds = self.inside.select("study_id", pl.col("fold").cast(pl.Int32)).unique()
        oof = rows.join(grades, on=_CELL, how="left", maintain_order="left")
        oof = oof.join(folds, on="study_id", how="left", maintain_order="left")
        order = ["row_id", "study_id", "condition", "level", "fold", "label"]
        return oof.select(*order, pl.exclude(order))

    @property
    def _ungraded(self) -> pl.DataFrame:
        return self.labels.filter(pl.col("grade").is_null())

    def _labelled(self, table: pl.DataFrame, labels: pl.DataFrame) -> Samples:
        with_level = self.experiment.loss.level_weight > 0
        return as_samples(self.crops, table, labels, with_level=with_level, marks=self.marks)


def read_folds(
    experiment: Experiment,
    left_out: tuple[int, ...],
    *,
    crops: Path,
    labels: Path,
    folds: Path,
    holdout: Path | None,
    marks: Path | None = None,
) -> FoldData:
    """Read the tables of earlier stages; see `training.train_fold.FoldJob` for the arguments.

    Raises:
        StageError: no samples to predict, or none to train on.
    """
    samples = keep_graded(read_table(crops, "train"), experiment.labels)
    table = samples.join(read_parquet(folds), on="study_id", maintain_order="left")
    is_inside = pl.col("fold").is_in(left_out)
    inside, outside = table.filter(is_inside), table.filter(~is_inside)
    if not len(inside) or not len(outside):
        raise StageError(
            f"fold {' and '.join(map(str, left_out))}: {counted(len(inside), 'sample')} to predict "
            f"and {len(outside)} to train on, expected at least one of each; studies without "
            "images or level points (see the log) have no samples; use fewer folds or more studies"
        )
    held_out: list[int] = []
    if holdout is not None:
        held_out = read_parquet(holdout, columns=["study_id"])["study_id"].unique().to_list()
    return FoldData(
        experiment=experiment,
        left_out=left_out,
        crops=crops,
        inside=inside,
        outside=outside,
        held_out=samples.filter(pl.col("study_id").is_in(held_out)),
        labels=keep_graded(read_parquet(labels), experiment.labels),
        marks=None if marks is None else read_parquet(marks),
    )
