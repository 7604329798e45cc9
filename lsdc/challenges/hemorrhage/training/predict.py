"""Prediction of images with the models of all folds, in one child process."""

from pathlib import Path

from lsdc.challenges.hemorrhage.config.experiment import Experiment
from lsdc.training.process import Job, OnEvent, run_child

CHILD = "lsdc.challenges.hemorrhage.training.predict_child"


class PredictJob(Job):
    """A prediction of the slices of a folder.

    Attributes:
        experiment: the experiment of the models.
        models: the folders of the trained folds.
        sequences: the folders of their sequence models, in the same order; empty if the experiment
            has none.
        slices: the folder with slices.npy and slices.parquet; whole studies.
        images: the Parquet file of the images to predict, of which only image_id is read; None
            predicts all slices.
        out: the Parquet file to write.
        by_fold: a second Parquet file, for the predictions of each model alone.
        device: "auto", "cpu", "cuda" or any other of torch's devices.
        threads: number of torch's threads.
    """

    experiment: Experiment
    models: tuple[Path, ...]
    sequences: tuple[Path, ...] = ()
    slices: Path
    images: Path | None = None
    out: Path
    by_fold: Path | None = None
    device: str
    threads: int

    def __str__(self) -> str:
        """Return the suffix for messages: the output file."""
        return f" into {self.out}"


def predict(job: PredictJob, *, log: Path, on_event: OnEvent) -> None:
    """Write the mean of the models' probabilities for every image to `out`.

    The mean is that of probabilities, not of logits, as it is over the views of a slice: its log
    loss is at most the mean of the models' losses, and a fold that is sure and wrong costs less.

    The Parquet file has image_id and the six labels; images without a slice have no row. `by_fold`
    has the same columns for each model alone, and `model`, its place in `models`. `on_event`
    receives the progress of each model.

    Raises:
        DataError, SettingsError, StageError: see `lsdc.training.process.run_child`.
    """
    minutes = job.experiment.training.stall_minutes
    run_child(CHILD, job, log=log, stall_minutes=minutes, on_event=on_event)
