"""The trial of a network: tiles with the layers and the size of its experiment."""

from collections.abc import Mapping
from typing import Any, ClassVar

from lsdc.challenges.ink.config.experiment import Experiment
from lsdc.jobs.trial import BaseTrialJob


class TrialJob(BaseTrialJob):
    """A trial of a network; see `lsdc.jobs.trial.try_model`."""

    child: ClassVar[str] = "lsdc.challenges.ink.training.trial_child"
    libraries: ClassVar[tuple[str, ...]] = (*BaseTrialJob.libraries, "monai")

    experiment: Experiment

    @property
    def task(self) -> Mapping[str, Any]:
        """The groups of layers and the size of a tile."""
        return {"tiles": self.experiment.tiles}
