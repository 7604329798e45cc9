"""The trial of a model: levels with the slots and the size of its experiment."""

from collections.abc import Mapping
from typing import Any, ClassVar

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.jobs.trial import BaseTrialJob
from lsdc.store.fingerprint import fingerprint_libraries


class TrialJob(BaseTrialJob):
    """A trial of a model; see `lsdc.jobs.trial.try_model`."""

    child: ClassVar[str] = "lsdc.challenges.lumbar.training.trial_child"

    experiment: Experiment

    @property
    def task(self) -> Mapping[str, Any]:
        """The slots, their size, which auxiliary heads there are, and libraries of some models."""
        loss = self.experiment.loss
        weights = (loss.level_weight, loss.view_weight, loss.slice_weight)
        return {
            "slices": self.experiment.slices,
            "shape": self.experiment.crops.shape,
            "heads": [weight > 0 for weight in weights],
            "own libraries": fingerprint_libraries(self.experiment.libraries),
        }
