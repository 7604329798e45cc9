"""The run context of the lumbar challenge."""

from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.config.presets import DEFAULTS, EXPERIMENTS
from lsdc.experiments.defaults import Defaults
from lsdc.experiments.presets import Experiments
from tasks.run import Run

if TYPE_CHECKING:
    from lsdc.tables.table import Table

Pair = tuple[int, int]
"""Two folds, of whose labels a model that was trained without both is the judge."""


class LumbarRun(Run):
    """A run of one of the lumbar challenge's experiments."""

    experiments: ClassVar[Experiments[Any]] = EXPERIMENTS
    defaults: ClassVar[Defaults] = DEFAULTS
    own_parameters: ClassVar[tuple[str, ...]] = ("annotations",)

    experiment: Experiment
    only_judge: Pair | None = Field(default=None, exclude=True)

    @classmethod
    def is_synthetic(cls, data: Path) -> bool:
        """Return whether `lsdc demo-data` wrote the folder: only then are the answers known."""
        return (data / "answers" / "grades.csv").is_file()

    @property
    def judges(self) -> list[Pair]:
        """The judges that the requested folds need; none without `labels.distrust`."""
        if self.experiment.labels.distrust is None:
            return []
        if self.only_judge is not None:
            return [self.only_judge]
        pairs = combinations(range(self.folds), 2)
        return [pair for pair in pairs if set(pair) & set(self.folds_to_train)]

    def judges_of(self, fold: int) -> list[Pair]:
        """Return the judges that a fold needs: one for the labels of each other fold."""
        return [pair for pair in self.judges if fold in pair]

    @property
    def has_test(self) -> bool:
        """True if the competition asks for a submission: its sample submission has rows."""
        from lsdc.challenges.lumbar.competition.tables import asks_for_rows

        return asks_for_rows(self.data)

    @property
    def catalog(self) -> "dict[str, type[Table]]":
        """The tables of the stages' results that the catalog shows, by name."""
        from lsdc.challenges.lumbar.catalog_tables import CATALOG

        return CATALOG

    @property
    def task_runs(self) -> list[str]:
        """The names of the task runs that count as the pipeline's progress, in order."""
        if self.experiment.members:
            return [
                *("index train", "folds"),
                *(["index test"] if self.will_submit else []),
                *("ensemble", "oof"),
                *(["predict", "submission"] if self.will_submit else []),
                "report",
            ]
        judges = ["judge {}-{}".format(*pair) for pair in self.judges]
        folds = [f"fold {fold}" for fold in self.folds_to_train]
        test = ["coordinates test", "sides test", "crops test", "predict", "submission"]
        return [
            *("index train", "folds", "annotations"),
            *(["index test"] if self.will_submit else []),
            *("coordinates train", "sides train", "crops train"),
            *(["marks"] if self.experiment.loss.slice_weight else []),
            *judges,
            *folds,
            "oof",
            *(test if self.will_submit else []),
            "report",
        ]
