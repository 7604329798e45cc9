"""What a report is made of: a run with its records, or a table of predictions."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from lsdc.challenges.lumbar.catalog_tables import CATALOG
from lsdc.challenges.lumbar.competition.predictions import (
    PROBABILITIES,
    name_files,
    read_predictions,
)
from lsdc.challenges.lumbar.competition.tables import read_labels
from lsdc.challenges.lumbar.quality.corrections import Corrections
from lsdc.challenges.lumbar.report.figures.trained import TrainedFold, trained_folds
from lsdc.challenges.lumbar.scoring.scored import Scored, scored
from lsdc.dicom_index.quarantine import Quarantine
from lsdc.errors import DataError
from lsdc.experiments.expected import Expected
from lsdc.experiments.reported import Reported
from lsdc.experiments.settings import WORDS, flatten
from lsdc.store.costs import Cost, read_costs
from lsdc.store.exact_names import read_parquet
from lsdc.store.garbage import kept_results
from lsdc.store.home import Home
from lsdc.store.runs import EXPERIMENT_FILE, RunRecord, read_record
from lsdc.tables.table import Table


@dataclass(frozen=True)
class RunSource:
    """A run with an out-of-fold table, and its records.

    Attributes:
        home: its home.
        name: the name of its folder.
        scored: its out-of-fold predictions.
        scores: the content of scores.json.
        record: the content of run.json; None for runs of early versions.
        experiment: the content of experiment.json.
    """

    home: Home
    name: str
    scored: Scored
    scores: dict[str, Any]
    record: RunRecord | None
    experiment: dict[str, Any]

    @property
    def reported(self) -> Reported:
        """The scores that the lab log reports for the experiment; empty without any."""
        return Reported.model_validate(self.experiment.get("reported", {}))

    @property
    def expected(self) -> Expected:
        """The estimates of an experiment that the lab log does not report; empty without any."""
        return Expected.model_validate(self.experiment.get("expected", {}))

    @property
    def members(self) -> tuple[str, ...]:
        """The experiments that it combines, if it is an ensemble."""
        return tuple(self.experiment.get("members", ()))

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the run and of its experiment, by dotted name."""
        if self.record is not None:
            return self.record.settings
        return flatten({key: each for key, each in self.experiment.items() if key not in WORDS})

    @cached_property
    def folds(self) -> list[TrainedFold]:
        """The records of its trained folds."""
        return trained_folds(self.home.run(self.name), self.scored.folds)

    @cached_property
    def results(self) -> list[Path]:
        """The folders of the stages' results that the run uses."""
        return kept_results(self.home, self.name)

    @cached_property
    def corrections(self) -> pl.DataFrame:
        """The corrections of annotated points that the run made."""
        return self.table(Corrections)

    @cached_property
    def quarantine(self) -> pl.DataFrame:
        """The files that the run could not use, each once."""
        return self.table(Quarantine).unique("path", maintain_order=True)

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
        (name,) = (name for name, each in CATALOG.items() if each is table)
        paths = [path for folder in self.results if (path := folder / f"{name}.parquet").is_file()]
        tables = [read_parquet(path).select(table.column_names()) for path in paths]
        return pl.concat([table.create_empty(), *tables], how="vertical_relaxed")


@dataclass(frozen=True)
class PredictionSource:
    """A table of predictions, with labels from elsewhere."""

    name: str
    scored: Scored


Source = RunSource | PredictionSource


def read_run(home: Home, name: str) -> RunSource:
    """Read a run with out-of-fold predictions.

    Raises:
        DataError: the run has no scores, or no row has a grade.
    """
    folder = home.run(name)
    oof, scores = folder / "oof.parquet", folder / "scores.json"
    if not (oof.is_file() and scores.is_file()):
        raise DataError(
            f"{folder}: no oof.parquet and scores.json, expected a run with scores; train and "
            "score its folds first"
        )
    rows = read_parquet(oof)
    experiment = folder / EXPERIMENT_FILE
    return RunSource(
        home=home,
        name=name,
        scored=scored(name, rows.rename({"label": "grade"}).drop("row_id", *PROBABILITIES), rows),
        scores=json.loads(scores.read_text(encoding="utf-8")),
        record=read_record(folder),
        experiment=json.loads(experiment.read_bytes()) if experiment.is_file() else {},
    )


def read_prediction_files(paths: Sequence[Path], data: Path) -> list[PredictionSource]:
    """Read tables of predictions, with the labels of a competition's folder.

    Raises:
        DataError: the labels or a table cannot be read, or do not fit together.
    """
    labels = read_labels(data)
    return [
        PredictionSource(name, scored(name, labels, read_predictions(path)))
        for name, path in zip(name_files(paths), paths, strict=True)
    ]
