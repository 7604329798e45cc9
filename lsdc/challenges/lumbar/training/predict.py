"""Prediction of the test split with the models of all folds, in one child process."""

from pathlib import Path

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.training.process import Job, OnEvent, run_child

CHILD = "lsdc.challenges.lumbar.training.predict_child"


class PredictJob(Job):
    """A prediction of the test split.

    Attributes:
        experiment: the experiment of the models.
        models: the folders of the trained folds.
        crops: the folder with crops.npy and samples.parquet.
        out: the Parquet file to write.
        by_fold: a second Parquet file, for the predictions of each model alone.
        device: "auto", "cpu", "cuda" or any other of torch's devices.
        threads: number of torch's threads.
    """

    experiment: Experiment
    models: tuple[Path, ...]
    crops: Path
    out: Path
    by_fold: Path | None = None
    device: str
    threads: int

    def __str__(self) -> str:
        """Return the suffix for messages: the output file."""
        return f" into {self.out}"


def predict(job: PredictJob, *, log: Path, on_event: OnEvent) -> None:
    """Write the mean of the models' probabilities for every test sample and condition to `out`.

    The Parquet file has row_id, study_id, condition, level, normal_mild, moderate, severe; it has
    no rows without test samples. `by_fold` has the same columns for each model alone, and `model`,
    its place in `models`. `on_event` receives the progress of each model.

    Raises:
        DataError, SettingsError, StageError: see `lsdc.training.process.run_child`.
    """
    minutes = job.experiment.training.stall_minutes
    run_child(CHILD, job, log=log, stall_minutes=minutes, on_event=on_event)
