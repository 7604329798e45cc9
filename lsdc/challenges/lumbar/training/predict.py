"""The prediction of the test split."""

from pathlib import Path
from typing import ClassVar

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.jobs.predict import BasePredictJob


class PredictJob(BasePredictJob):
    """A prediction of every test sample and condition; see `lsdc.jobs.predict.predict`.

    The table has row_id, study_id, condition, level, normal_mild, moderate, severe; it has no rows
    without test samples.

    Attributes:
        experiment: the experiment of the models.
        crops: the folder with crops.npy and samples.parquet.
    """

    child: ClassVar[str] = "lsdc.challenges.lumbar.training.predict_child"

    experiment: Experiment
    crops: Path
