"""What a report is made of: a run with its records, or a table of predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import polars as pl

from lsdc.challenges.lumbar.catalog_tables import CATALOG
from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES, read_predictions
from lsdc.challenges.lumbar.competition.tables import read_labels
from lsdc.challenges.lumbar.quality.corrections import Corrections
from lsdc.challenges.lumbar.scoring.scored import Scored, scored
from lsdc.dicom_index.quarantine import Quarantine
from lsdc.names import name_files
from lsdc.report.runs.content import PredictionSource
from lsdc.report.runs.records import RunRecords, read_oof
from lsdc.report.runs.trained import TrainedFold, trained_folds
from lsdc.store.home import Home
from lsdc.tables.table import Table


@dataclass(frozen=True)
class RunSource(RunRecords):
    """A run with an out-of-fold table, and its records.

    Attributes:
        scored: its out-of-fold predictions.
    """

    catalog: ClassVar[Mapping[str, type[Table]]] = CATALOG

    scored: Scored

    @property
    def members(self) -> tuple[str, ...]:
        """The experiments that it combines, if it is an ensemble."""
        return tuple(self.experiment.get("members", ()))

    @cached_property
    def folds(self) -> list[TrainedFold]:
        """The records of its trained folds."""
        return trained_folds(self.home.run(self.name), self.scored.folds)

    @cached_property
    def corrections(self) -> pl.DataFrame:
        """The corrections of annotated points that the run made."""
        return self.table(Corrections)

    @cached_property
    def quarantine(self) -> pl.DataFrame:
        """The files that the run could not use, each once."""
        return self.table(Quarantine).unique("path", maintain_order=True)


Source = RunSource | PredictionSource[Scored]


def read_run(home: Home, name: str) -> RunSource:
    """Read a run with out-of-fold predictions.

    Raises:
        DataError: the run has no scores, or no row has a grade.
    """
    rows = read_oof(home, name)
    labels = rows.rename({"label": "grade"}).drop("row_id", *PROBABILITIES)
    return RunSource.read(home, name, scored=scored(name, labels, rows))


def read_prediction_files(paths: Sequence[Path], data: Path) -> list[PredictionSource[Scored]]:
    """Read tables of predictions, with the labels of a competition's folder.

    Raises:
        DataError: the labels or a table cannot be read, or do not fit together.
    """
    labels = read_labels(data)
    return [
        PredictionSource(name, scored(name, labels, read_predictions(path)))
        for name, path in zip(name_files(paths), paths, strict=True)
    ]
