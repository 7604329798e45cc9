"""The training of one fold's slice model."""

from pathlib import Path
from typing import ClassVar

from lsdc.challenges.hemorrhage.config.experiment import Experiment
from lsdc.jobs.fold import BaseFoldJob

VECTORS = "vectors.npy"
PREDICTED = ("oof.parquet", "holdout.parquet")


class FoldJob(BaseFoldJob):
    """The training of one fold's slice model; see `lsdc.jobs.fold.train_fold`.

    Its predictions are oof.parquet (columns of `scoring.oof.OutOfFold`: every slice of the fold)
    and holdout.parquet (columns of `scoring.oof.HeldOut`, for the images of `holdout`, which are
    not trained on). With a sequence model, it also writes vectors.npy: what that reads of every
    slice, see `training.vectors`.

    Attributes:
        experiment: the experiment to train.
        slices: the folder with slices.npy and slices.parquet.
        labels: the labels' Parquet file.
        holdout: the Parquet file of the images in no fold, and of their labels.
    """

    child: ClassVar[str] = "lsdc.challenges.hemorrhage.training.train_fold_child"
    predicted: ClassVar[tuple[str, ...]] = PREDICTED
    optional: ClassVar[tuple[str, ...]] = (VECTORS,)

    experiment: Experiment
    slices: Path
    labels: Path
    holdout: Path | None = None

    @property
    def trained(self) -> tuple[str, ...]:
        """The files that do not depend on `experiment.tta`."""
        has_sequence = self.experiment.sequence.kind != "none"
        return (*super().trained, VECTORS) if has_sequence else super().trained
