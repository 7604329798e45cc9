"""The phantom's first stages, taken once: index, annotated points, sides."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from lsdc.lumbar.annotated import annotated_points
from lsdc.lumbar.index import build_index
from lsdc.lumbar.sides import find_sides
from lsdc.lumbar.tables import Competition, open_competition


@dataclass(frozen=True)
class Walked:
    """A competition taken from files to sides, with annotated points."""

    competition: Competition
    folder: Path
    points: pl.DataFrame

    def table(self, name: str) -> pl.DataFrame:
        """A table that a stage wrote."""
        return pl.read_parquet(self.folder / f"{name}.parquet")


def walk(root: Path, folder: Path) -> Walked:
    """Take a competition's training split from files to sides."""
    competition = open_competition(root)
    build_index(competition, "train", folder)
    instances = pl.read_parquet(folder / "instances.parquet")
    points = annotated_points(instances, competition.annotations)
    find_sides(instances, points, competition.annotations, folder)
    return Walked(competition, folder, points)


@pytest.fixture(scope="session")
def walked(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Walked:
    """The session's phantom, from files to sides."""
    return walk(phantom, tmp_path_factory.mktemp("walked"))
