"""Prediction of maps with one or several models, in a child process."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from lsdc.challenges.ink.config.experiment import Experiment
from lsdc.training.process import Job, OnEvent, run_child

CHILD = "lsdc.challenges.ink.inference.predict_child"


class Wanted(BaseModel):
    """A region to predict.

    Attributes:
        region: its name, and that of the map: `REGION.npy`.
        fragment: the name of its fragment.
        first_row: its first row of pixels.
        end_row: the row after its last one.
    """

    model_config = ConfigDict(frozen=True)

    region: str
    fragment: str
    first_row: int
    end_row: int

    @property
    def file(self) -> str:
        """The name of the map's file."""
        return f"{self.region}.npy"


class PredictJob(Job):
    """A prediction of the maps of some regions, each the mean over all models.

    Attributes:
        experiment: the experiment of the models.
        models: the folders of the trained folds.
        volumes: the folder of the prepared fragments.
        wanted: the regions.
        out: the folder to write the maps to.
        identity: a fingerprint of everything that the maps depend on.
        device: "auto", "cpu", "cuda" or any other of torch's devices.
        threads: number of torch's threads.
    """

    experiment: Experiment
    models: tuple[Path, ...]
    volumes: Path
    wanted: tuple[Wanted, ...]
    out: Path
    identity: str
    device: str
    threads: int

    def __str__(self) -> str:
        """Return the suffix for messages: the folder of the maps."""
        return f" into {self.out}"


def predict(job: PredictJob, *, log: Path, on_event: OnEvent) -> None:
    """Write `REGION.npy` for each region: probabilities of ink, (rows, columns), float16.

    A killed prediction is gone on with: regions that are complete are kept, and so are the complete
    rows of the region that was at work. `on_event` receives the progress.

    Raises:
        DataError, SettingsError, StageError: see `lsdc.training.process.run_child`.
    """
    minutes = job.experiment.training.stall_minutes
    run_child(CHILD, job, log=log, stall_minutes=minutes, on_event=on_event)
