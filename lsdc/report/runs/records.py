"""The records of a run: scores, settings, results of its stages, and what they cost."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import polars as pl

from lsdc.errors import DataError
from lsdc.experiments.expected import Expected
from lsdc.experiments.reported import Reported
from lsdc.experiments.settings import WORDS, flatten
from lsdc.report.runs.trained import TrainedFold
from lsdc.store.costs import Cost, read_costs
from lsdc.store.exact_names import read_parquet
from lsdc.store.garbage import kept_results
from lsdc.store.home import Home
from lsdc.store.runs import EXPERIMENT_FILE, RunRecord, read_record
from lsdc.tables.table import Table

R = TypeVar("R", bound="RunRecords")

_OOF, _SCORES = "oof.parquet", "scores.json"


def read_oof(home: Home, name: str) -> pl.DataFrame:
    """Return the out-of-fold table of a run with scores.

    Raises:
        DataError: the run has no scores.
    """
    folder = home.run(name)
    if not ((folder / _OOF).is_file() and (folder / _SCORES).is_file()):
        raise DataError(
            f"{folder}: no {_OOF} and {_SCORES}, expected a run with scores; train and score its "
            "folds first"
        )
    return read_parquet(folder / _OOF)


@dataclass(frozen=True)
class RunRecords(ABC):
    """A run with scores, and its records; each challenge has a subclass with the predictions.

    Attributes:
        catalog: the tables of the challenge's stages, by their names.
        home: its home.
        name: the name of its folder.
        scores: the content of scores.json.
        record: the content of run.json; None for runs of early versions.
        experiment: the content of experiment.json.
    """

    catalog: ClassVar[Mapping[str, type[Table]]]

    home: Home
    name: str
    scores: dict[str, Any]
    record: RunRecord | None
    experiment: dict[str, Any]

    @classmethod
    def read(cls: type[R], home: Home, name: str, **own: Any) -> R:
        """Read the records of a run with scores; see `read_oof`.

        Args:
            home: its home.
            name: the name of its folder.
            own: what a subclass has beside the records.
        """
        folder = home.run(name)
        experiment = folder / EXPERIMENT_FILE
        return cls(
            home=home,
            name=name,
            scores=json.loads((folder / _SCORES).read_text(encoding="utf-8")),
            record=read_record(folder),
            experiment=json.loads(experiment.read_bytes()) if experiment.is_file() else {},
            **own,
        )

    @property
    @abstractmethod
    def folds(self) -> list[TrainedFold]:
        """The trainings of its folds."""

    @property
    def trained(self) -> list[tuple[str, TrainedFold]]:
        """All its trainings, by name."""
        return [(f"Fold {each.fold}", each) for each in self.folds]

    @property
    @abstractmethod
    def quarantine(self) -> pl.DataFrame:
        """The files that it could not use, each once: stage, reason, and what names the file."""

    @property
    def reported(self) -> Reported:
        """The scores that a log reports for the experiment; empty without any."""
        return Reported.model_validate(self.experiment.get("reported", {}))

    @property
    def expected(self) -> Expected:
        """The estimates of an experiment that no log reports; empty without any."""
        return Expected.model_validate(self.experiment.get("expected", {}))

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the run and of its experiment, by dotted name."""
        if self.record is not None:
            return self.record.settings
        return flatten({key: each for key, each in self.experiment.items() if key not in WORDS})

    @cached_property
    def results(self) -> list[Path]:
        """The folders of the stages' results that the run uses."""
        return kept_results(self.home, self.name)

    @cached_property
    def costs(self) -> list[Cost]:
        """The time and memory of the stages that made the results, in the order they ended.

        The report itself is left out: only an earlier one could be here.
        """
        mine = {path.relative_to(self.home.root).as_posix() for path in self.results}
        own = self.home.run(self.name).relative_to(self.home.root).as_posix()
        return [
            cost
            for cost in read_costs(self.home.root)
            if (cost.path in mine or cost.path == own or cost.path.startswith(f"{own}/"))
            and cost.stage != "report"
        ]

    def table(self, table: type[Table]) -> pl.DataFrame:
        """Return a table of the stages' results, from all results that have it."""
        (name,) = (name for name, each in self.catalog.items() if each is table)
        paths = [path for folder in self.results if (path := folder / f"{name}.parquet").is_file()]
        tables = [read_parquet(path).select(table.column_names()) for path in paths]
        return pl.concat([table.create_empty(), *tables], how="vertical_relaxed")
