"""The results of the phantom's first stages: index, annotated points, sides."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from lsdc.challenges.lumbar.competition.tables import Competition, open_competition
from lsdc.challenges.lumbar.coordinates.annotated import annotated_points
from lsdc.challenges.lumbar.slices.slice_offsets import measure_offsets
from tests.dicom_index.indexing import build_index


@dataclass(frozen=True)
class Walked:
    """The results of a competition from index to sides, with annotated points."""

    competition: Competition
    folder: Path
    points: pl.DataFrame

    def table(self, name: str) -> pl.DataFrame:
        """Read a table that a stage wrote."""
        return pl.read_parquet(self.folder / f"{name}.parquet")


def walk(root: Path, folder: Path) -> Walked:
    """Run the stages from index to sides on a competition's training split."""
    competition = open_competition(root)
    build_index(competition, "train", folder)
    instances = pl.read_parquet(folder / "instances.parquet")
    points = annotated_points(instances, competition.annotations)
    measure_offsets(instances, points, competition.annotations, folder)
    return Walked(competition, folder, points)


@pytest.fixture(scope="session")
def walked(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Walked:
    """Run the stages from index to sides on the session's phantom."""
    return walk(phantom, tmp_path_factory.mktemp("walked"))
