"""The run context of the lumbar challenge."""

from typing import TYPE_CHECKING, Any, ClassVar

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.experiments.presets import Experiments
from lsdc.store.exact_names import read_parquet
from lsdc.store.manifest import Manifest
from tasks.run import Run

if TYPE_CHECKING:
    import polars as pl


class LumbarRun(Run):
    """A run of one of the lumbar challenge's experiments."""

    experiments: ClassVar[Experiments[Any]] = EXPERIMENTS

    experiment: Experiment

    @property
    def has_test(self) -> bool:
        """True if the competition asks for a submission: its sample submission has rows."""
        from lsdc.challenges.lumbar.competition.tables import asks_for_rows

        return asks_for_rows(self.data)

    def table(self, result: Manifest, name: str) -> "pl.DataFrame":
        """Read a table of a stage's result."""
        return read_parquet(result.file(self.root, f"{name}.parquet"))

    def parts(self, *names: str) -> dict[str, Any]:
        """Return parts of the experiment by name, as a stage's key takes them."""
        return {name: getattr(self.experiment, name) for name in names}

    @property
    def task_runs(self) -> list[str]:
        """The names of the task runs that count as the pipeline's progress, in order.

        The catalog's and the phantom's task runs are not included.
        """
        folds = [f"fold {fold}" for fold in self.folds_to_train]
        test = ["coordinates test", "sides test", "crops test", "predict", "submission"]
        has_test = self.uses_phantom or self.has_test  # a phantom may not be written yet
        return [
            *("index train", "folds", "annotations"),
            *(["index test"] if has_test else []),
            *("coordinates train", "sides train", "crops train"),
            *folds,
            "oof",
            *(test if has_test else []),
            "report",
        ]
