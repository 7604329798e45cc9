"""The run context of the haemorrhage challenge."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lsdc.challenges.hemorrhage.config.experiment import Experiment
from lsdc.challenges.hemorrhage.config.presets import DEFAULTS, EXPERIMENTS
from lsdc.experiments.defaults import Defaults
from lsdc.experiments.presets import Experiments
from tasks.run import Run

if TYPE_CHECKING:
    from lsdc.tables.table import Table


class HemorrhageRun(Run):
    """A run of one of the haemorrhage challenge's experiments."""

    experiments: ClassVar[Experiments[Any]] = EXPERIMENTS
    defaults: ClassVar[Defaults] = DEFAULTS
    phantom: ClassVar[str] = "phantom-hemorrhage"
    training_tables: ClassVar[str] = "stage_*_train.csv"

    experiment: Experiment

    @classmethod
    def is_synthetic(cls, data: Path) -> bool:
        """Return whether `lsdc demo-data` wrote the folder: only then are the answers known."""
        return (data / "answers" / "bleeds.csv").is_file()

    @property
    def has_test(self) -> bool:
        """True if the competition asks for a submission: its sample submission has rows."""
        from lsdc.challenges.hemorrhage.competition.tables import asks_for_rows

        return asks_for_rows(self.data)

    @property
    def has_sequence(self) -> bool:
        """Whether a second model reads the slices of a study in their order."""
        return self.experiment.sequence.kind != "none"

    def sequence(self, fold: int) -> Path:
        """Return the folder of a fold's sequence model."""
        return self.folder / f"sequence-{fold}"

    @property
    def catalog(self) -> "dict[str, type[Table]]":
        """The tables of the stages' results that the catalog shows, by name."""
        from lsdc.challenges.hemorrhage.catalog_tables import CATALOG

        return CATALOG

    @property
    def task_runs(self) -> list[str]:
        """The names of the task runs that count as the pipeline's progress, in order."""
        return [
            *("index", "folds", "slices train"),
            *(f"fold {fold}" for fold in self.folds_to_train),
            *(f"sequence {fold}" for fold in self.folds_to_train if self.has_sequence),
            "oof",
            *(["slices test", "predict", "submission"] if self.will_submit else []),
            "report",
        ]
