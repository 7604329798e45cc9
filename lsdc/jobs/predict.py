"""Prediction with the models of all folds, in one child process."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from lsdc.training.process import Job, OnEvent, run_child

if TYPE_CHECKING:
    from lsdc.jobs.experiment import TrainedExperiment


class BasePredictJob(Job):
    """A prediction; each challenge adds `experiment` and what is predicted.

    Attributes:
        child: the module of the child process; it calls `lsdc.jobs.predict_child`.
        models: the folders of the trained folds.
        out: the Parquet file to write.
        by_fold: a second Parquet file, for the predictions of each model alone.
        device: "auto", "cpu", "cuda" or any other of torch's devices.
        threads: number of torch's threads.
    """

    child: ClassVar[str]

    models: tuple[Path, ...]
    out: Path
    by_fold: Path | None = None
    device: str
    threads: int

    if TYPE_CHECKING:  # a field of each challenge, of its own type

        @property
        def experiment(self) -> TrainedExperiment: ...

    def __str__(self) -> str:
        """Return the suffix for messages: the output file."""
        return f" into {self.out}"


def predict(job: BasePredictJob, *, log: Path, on_event: OnEvent) -> None:
    """Write the mean of the models' probabilities to `out`.

    The mean is that of probabilities, not of logits, as it is over the views of a sample: its log
    loss is at most the mean of the models' losses, and a fold that is sure and wrong costs less.

    `by_fold` has the columns of `out` for each model alone, and `model`, its place in `models`.

    Args:
        job: the prediction.
        log: the file that the child's output is appended to.
        on_event: receives the progress of each model.

    Raises:
        DataError, SettingsError, StageError: see `lsdc.training.process.run_child`.
    """
    minutes = job.experiment.training.stall_minutes
    run_child(job.child, job, log=log, stall_minutes=minutes, on_event=on_event)
