"""A phantom's results as a run leaves them, made from its annotations."""

from pathlib import Path

import polars as pl
import pytest

from lsdc.experiments.config import CropsConfig, SlicesConfig
from lsdc.lumbar.annotated import write_annotated
from lsdc.lumbar.corrections import Evidence, write_annotations
from lsdc.lumbar.crops import cut_crops
from lsdc.lumbar.index import build_index
from lsdc.lumbar.sides import find_sides
from lsdc.lumbar.tables import open_competition

SLICES = SlicesConfig()


@pytest.fixture(scope="session")
def results(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tables of all stages, and crops of 16 px."""
    out = tmp_path_factory.mktemp("results")
    competition = open_competition(phantom)
    build_index(competition, "train", out)
    instances, series = (pl.read_parquet(out / f"{n}.parquet") for n in ("instances", "series"))
    listed = competition.series.filter(split="train")
    evidence = Evidence(listed, instances, series)
    write_annotations(competition.annotations, evidence, out, corrected=True)
    write_annotated(instances, competition.annotations, out)
    points, landmarks = (pl.read_parquet(out / f"{n}.parquet") for n in ("points", "landmarks"))
    find_sides(instances, points, competition.annotations, out, landmarks=landmarks)
    slices = pl.read_parquet(out / "slices.parquet")
    cut_crops(instances, slices, SLICES, CropsConfig(size_px=16), out, landmarks=landmarks)
    return out


@pytest.fixture(scope="session")
def studies(results: Path) -> list[int]:
    """The studies' ids; by the phantom's plan the fourth lacks T1."""
    return sorted(pl.read_parquet(results / "studies.parquet")["study_id"].to_list())
