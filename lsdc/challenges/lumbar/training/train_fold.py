"""The training of one fold, or of a judge of two folds' labels."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.jobs.fold import TRAINED, BaseFoldJob

PREDICTED = ("oof.parquet", "unlabelled.parquet", "holdout.parquet")
RESULTS = (*TRAINED, *PREDICTED)
DOUBTED = "doubted.parquet"


class FoldJob(BaseFoldJob):
    """The training of one fold; see `lsdc.jobs.fold.train_fold`.

    Its predictions are oof.parquet (columns of `scoring.oof.OutOfFold`: every row of the fold's
    studies with samples), unlabelled.parquet (the same without fold and label, for missing grades
    of the other studies) and holdout.parquet (likewise, for the studies of `holdout`, which are not
    trained on). With judges, it also writes doubted.parquet: the labels left out, columns of
    `scoring.doubt.doubted_labels`.

    Attributes:
        experiment: the experiment to train.
        second_fold: another fold that is not trained on, for a judge of labels.
        crops: the folder with crops.npy and samples.parquet.
        labels: the labels' Parquet file.
        holdout: the Parquet file of the studies in no fold; only study_id is read.
        marks: the Parquet file of the annotated slices, if the model learns to tell them.
        fill_from: the unlabelled.parquet of the same fold of `experiment.needs.labels`.
        judges: the folders of the models by which `experiment.labels.distrust` leaves out labels;
            see `scoring.doubt`.
    """

    child: ClassVar[str] = "lsdc.challenges.lumbar.training.train_fold_child"
    predicted: ClassVar[tuple[str, ...]] = PREDICTED
    optional: ClassVar[tuple[str, ...]] = (DOUBTED,)

    experiment: Experiment
    second_fold: int | None = None
    crops: Path
    labels: Path
    holdout: Path | None = None
    marks: Path | None = None
    fill_from: Path | None = None
    judges: tuple[Path, ...] = ()

    @property
    def left_out(self) -> tuple[int, ...]:
        """The folds that are predicted and not trained on."""
        return (self.fold,) if self.second_fold is None else (self.fold, self.second_fold)

    @property
    def name(self) -> str:
        """What is trained: a fold, or a judge of two folds' labels."""
        return super().name if self.second_fold is None else "judge {}-{}".format(*self.left_out)

    @property
    def needed(self) -> Mapping[str, Path | None]:
        """The files of other experiments' folds, by the setting that needs each."""
        return {**super().needed, "needs.labels": self.fill_from}
