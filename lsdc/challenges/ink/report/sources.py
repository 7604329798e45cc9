"""What a report is made of: a run with its records, its regions and their maps."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import polars as pl

from lsdc.challenges.ink.catalog_tables import CATALOG
from lsdc.challenges.ink.folds import Folds, Regions
from lsdc.challenges.ink.masks.rules import Rules
from lsdc.challenges.ink.masks.variants import VARIANTS_FILE
from lsdc.challenges.ink.volumes.volume import PIXELS, Volume
from lsdc.report.runs.records import RunRecords, read_oof
from lsdc.report.runs.trained import TrainedFold, trained_folds
from lsdc.store.exact_names import read_parquet
from lsdc.store.home import Home
from lsdc.tables.table import Table


@dataclass(frozen=True)
class RunSource(RunRecords):
    """A run with an out-of-fold table, and its records.

    Attributes:
        oof: `masks.oof.OutOfFold`.
    """

    catalog: ClassVar[Mapping[str, type[Table]]] = CATALOG

    oof: pl.DataFrame

    @property
    def folder(self) -> Path:
        """The folder of the run."""
        return self.home.run(self.name)

    @cached_property
    def regions(self) -> pl.DataFrame:
        """`folds.Regions` of both splits, with `fold`, null for regions in none."""
        folds = self.table(Folds)
        return self.table(Regions).join(folds, on="region", how="left", maintain_order="left")

    @cached_property
    def variants(self) -> pl.DataFrame:
        """`masks.variants.Variants`."""
        return read_parquet(self.folder / VARIANTS_FILE)

    @cached_property
    def rules(self) -> Rules:
        """The rules by which masks are made."""
        return Rules.read(self.folder)

    @property
    def quarantine(self) -> pl.DataFrame:
        """No file: nothing replaces a layer, so one that cannot be used stops a run."""
        return pl.DataFrame(schema=dict.fromkeys(("path", "stage", "reason"), pl.String))

    @cached_property
    def folds(self) -> list[TrainedFold]:
        """The trainings of the folds."""
        return trained_folds(self.folder, self.oof["fold"].unique().sort())

    def volume(self, fragment: str) -> Volume | None:
        """Return a fragment's prepared arrays; None if they are not in the home any more."""
        for folder in self.results:
            if (folder / fragment / PIXELS).is_file():
                return Volume.open(folder / fragment)
        return None

    def map_of(self, region: str, fold: int | None) -> Path | None:
        """Return the map of a region, by the fold that holds it out; None without one.

        Args:
            region: the name of the region.
            fold: its fold; None of a test fragment, which all models predict.
        """
        folder = "maps-test" if fold is None else f"maps-{fold}"
        path = self.folder / folder / f"{region}.npy"
        return path if path.is_file() else None


def read_run(home: Home, name: str) -> RunSource:
    """Read a run with out-of-fold maps.

    Raises:
        DataError: the run has no scores.
    """
    return RunSource.read(home, name, oof=read_oof(home, name))
