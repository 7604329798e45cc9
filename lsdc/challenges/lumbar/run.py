"""A run of the lumbar challenge."""

from typing import Any, ClassVar

from lsdc.challenges.lumbar.competition.tables import asks_for_rows
from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.experiments.presets import Experiments
from tasks.run import Run


class LumbarRun(Run):
    """A run whose experiment is one of the lumbar challenge's."""

    experiments: ClassVar[Experiments[Any]] = EXPERIMENTS

    experiment: Experiment

    @property
    def has_test(self) -> bool:
        """Whether the competition asks for a submission: a sample of it with rows."""
        return asks_for_rows(self.data)

    @property
    def task_runs(self) -> list[str]:
        """The names of the task runs that the pipeline is counted by, from the first to the last.

        Those that the catalog and the phantom take come beside.
        """
        folds = [f"fold {fold}" for fold in self.folds_to_train]
        test = ["coordinates test", "sides test", "crops test", "predict", "submission"]
        has_test = self.uses_phantom or self.has_test  # a phantom may be written yet
        return [
            *("index train", "folds", "annotations"),
            *(["index test"] if has_test else []),
            *("coordinates train", "sides train", "crops train"),
            *folds,
            "oof",
            *(test if has_test else []),
        ]
