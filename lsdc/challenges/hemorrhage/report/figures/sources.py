"""What a report is made of: a run with its records, or a table of predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import polars as pl

from lsdc.challenges.hemorrhage.catalog_tables import CATALOG
from lsdc.challenges.hemorrhage.competition.predictions import check_predictions, read_predictions
from lsdc.challenges.hemorrhage.competition.tables import read_labels
from lsdc.challenges.hemorrhage.report.figures.scored import Scored, number_slices, scored
from lsdc.challenges.hemorrhage.scoring.metric import PARTS, score
from lsdc.challenges.hemorrhage.scoring.oof import FILLED
from lsdc.names import name_files
from lsdc.report.runs.content import PredictionSource
from lsdc.report.runs.records import RunRecords, read_oof
from lsdc.report.runs.trained import TrainedFold, trained_folds
from lsdc.store.exact_names import read_parquet, scan_parquet
from lsdc.store.garbage import kept_results
from lsdc.store.home import Home
from lsdc.store.table_files import is_parquet
from lsdc.tables.table import Table

_PLACED = ("split", "image_id", "study_id", "series_id", "order", "along_mm")
_GROUPED = ("study_id", "patient", "fold")
_BAD = {"path": pl.String, "stage": pl.String, "reason": pl.String}


@dataclass(frozen=True)
class RunSource(RunRecords):
    """A run with an out-of-fold table, and its records.

    Attributes:
        scored: its out-of-fold predictions.
    """

    catalog: ClassVar[Mapping[str, type[Table]]] = CATALOG

    scored: Scored

    @cached_property
    def folds(self) -> list[TrainedFold]:
        """The trainings of the slice models."""
        return trained_folds(self.home.run(self.name), self.scored.folds)

    @cached_property
    def sequences(self) -> list[TrainedFold]:
        """The trainings of the sequence models; none if the run has none."""
        return trained_folds(self.home.run(self.name), self.scored.folds, kind="sequence")

    @property
    def trained(self) -> list[tuple[str, TrainedFold]]:
        """The trainings of the slice models and of the sequence models, by name."""
        return super().trained + [(f"Sequence {each.fold}", each) for each in self.sequences]

    @cached_property
    def filled(self) -> pl.DataFrame:
        """The images that no model predicted, `scoring.complete.Filled`; empty if not recorded."""
        path = self.home.run(self.name) / FILLED
        return read_parquet(path) if path.is_file() else pl.DataFrame({"filled_by": []})

    @cached_property
    def quarantine(self) -> pl.DataFrame:
        """The files that the run could not use, each once: file, stage, reason."""
        paths = [folder / "quarantine.parquet" for folder in self.results]
        tables = [read_parquet(path, list(_BAD)) for path in paths if path.is_file()]
        files = pl.concat([pl.DataFrame(schema=_BAD), *tables], how="vertical_relaxed")
        return files.unique("path", maintain_order=True).with_columns(
            file=pl.col("path").map_elements(lambda path: Path(path).name, pl.String)
        )


Source = RunSource | PredictionSource[Scored]


def read_run(home: Home, name: str) -> RunSource:
    """Read a run with out-of-fold predictions.

    Raises:
        DataError: the run has no scores.
    """
    rows = read_oof(home, name)
    images = images_of(kept_results(home, name)).filter(split="train")
    return RunSource.read(home, name, scored=scored(name, rows, number_slices(images)))


def images_of(results: Sequence[Path]) -> pl.DataFrame:
    """Return the split, ids and place of the images in results' indices, each once.

    Args:
        results: the folders of the results that a run uses.
    """
    paths = [path for folder in results if (path := folder / "images.parquet").is_file()]
    tables = [read_parquet(path, _PLACED) for path in paths]
    schema = dict.fromkeys(_PLACED, pl.String) | {"order": pl.Int32, "along_mm": pl.Float64}
    found = pl.concat([pl.DataFrame(schema=schema), *tables], how="vertical_relaxed")
    return found.unique("image_id", keep="first", maintain_order=True)


def read_prediction_files(paths: Sequence[Path], data: Path) -> list[PredictionSource[Scored]]:
    """Read tables of predictions, with the labels of a competition's folder.

    Studies, patients and folds are known where a Parquet file has them, as `oof.parquet` does.

    Raises:
        DataError: the labels or a table cannot be read, or do not fit together.
    """
    labels = read_labels(data)
    found = []
    for name, path in zip(name_files(paths), paths, strict=True):
        predictions = read_predictions(path)
        score(labels, predictions, name)  # refuses what cannot be scored
        rows = labels.rename({part: f"label_{part}" for part in PARTS}).join(
            check_predictions(predictions, name), on="image_id", maintain_order="left"
        )
        found.append(PredictionSource(name, scored(name, _grouped(rows, path))))
    return found


def _grouped(rows: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Add the study, the patient and the fold of images, if the file of predictions has them."""
    if not is_parquet(path):
        return rows
    there = scan_parquet(path).collect_schema()
    known = [name for name in _GROUPED if name in there]
    about = read_parquet(path, ["image_id", *known]) if "image_id" in there else None
    return rows if about is None else rows.join(about, on="image_id", maintain_order="left")
