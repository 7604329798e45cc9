"""The prediction of images."""

from pathlib import Path
from typing import ClassVar

from lsdc.challenges.hemorrhage.config.experiment import Experiment
from lsdc.jobs.predict import BasePredictJob


class PredictJob(BasePredictJob):
    """A prediction of the slices of a folder; see `lsdc.jobs.predict.predict`.

    The table has image_id and the six labels; images without a slice have no row.

    Attributes:
        experiment: the experiment of the models.
        sequences: the folders of the folds' sequence models, in the same order; empty if the
            experiment has none.
        slices: the folder with slices.npy and slices.parquet; whole studies.
        images: the Parquet file of the images to predict, of which only image_id is read; None
            predicts all slices.
    """

    child: ClassVar[str] = "lsdc.challenges.hemorrhage.training.predict_child"

    experiment: Experiment
    sequences: tuple[Path, ...] = ()
    slices: Path
    images: Path | None = None
