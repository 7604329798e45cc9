"""The run context of the ink challenge."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lsdc.challenges.ink.config.experiment import Experiment
from lsdc.challenges.ink.config.presets import DEFAULTS, EXPERIMENTS
from lsdc.experiments.defaults import Defaults
from lsdc.experiments.presets import Experiments
from tasks.run import Run

if TYPE_CHECKING:
    from lsdc.tables.table import Table


class InkRun(Run):
    """A run of one of the ink challenge's experiments."""

    experiments: ClassVar[Experiments[Any]] = EXPERIMENTS
    defaults: ClassVar[Defaults] = DEFAULTS
    phantom: ClassVar[str] = "phantom-ink"
    training_tables: ClassVar[str] = "train/*/inklabels.png"

    experiment: Experiment

    @classmethod
    def is_synthetic(cls, data: Path) -> bool:
        """Return whether `lsdc demo-data` wrote the folder: only then are the answers known."""
        return (data / "answers").is_dir()

    @property
    def has_test(self) -> bool:
        """True if the competition asks for a submission: its sample submission has rows."""
        from lsdc.challenges.ink.competition.tables import asks_for_rows

        return asks_for_rows(self.data)

    @property
    def maps_of_test(self) -> Path:
        """The folder of the test fragments' maps."""
        return self.folder / "maps-test"

    def maps(self, fold: int) -> Path:
        """Return the folder of the maps of the regions that a fold holds out."""
        return self.folder / f"maps-{fold}"

    @property
    def catalog(self) -> "dict[str, type[Table]]":
        """The tables of the stages' results that the catalog shows, by name."""
        from lsdc.challenges.ink.catalog_tables import CATALOG

        return CATALOG

    @property
    def task_runs(self) -> list[str]:
        """The names of the task runs that count as the pipeline's progress, in order."""
        return [
            *("index", "folds", "volumes train"),
            *(f"fold {fold}" for fold in self.folds_to_train),
            *(f"maps {fold}" for fold in self.folds_to_train),
            "oof",
            *(["volumes test", "predict", "submission"] if self.will_submit else []),
            "report",
        ]
