"""The trial of a slice model: slices with the channels and the size of its experiment."""

from collections.abc import Mapping
from typing import Any, ClassVar

from lsdc.challenges.hemorrhage.config.experiment import Experiment
from lsdc.jobs.trial import BaseTrialJob


class TrialJob(BaseTrialJob):
    """A trial of a slice model; see `lsdc.jobs.trial.try_model`."""

    child: ClassVar[str] = "lsdc.challenges.hemorrhage.training.trial_child"

    experiment: Experiment

    @property
    def task(self) -> Mapping[str, Any]:
        """The channels and the size of a slice."""
        return {"channels": self.experiment.channels, "shape": self.experiment.slices.shape}
