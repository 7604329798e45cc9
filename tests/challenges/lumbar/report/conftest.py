"""The results of a run on a phantom, made from its annotations."""

from pathlib import Path

import polars as pl
import pytest

from lsdc.challenges.lumbar.competition.tables import open_competition
from lsdc.challenges.lumbar.config.crops import CropsConfig
from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.coordinates.annotated import write_annotated
from lsdc.challenges.lumbar.quality.corrections import Evidence, write_annotations
from lsdc.challenges.lumbar.slices.slice_offsets import measure_offsets
from tests.challenges.lumbar.crops.cutting import cut_crops
from tests.dicom_index.indexing import build_index

SLICES = SlicesConfig()


@pytest.fixture(scope="session")
def results(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the tables of all stages and crops of 16 px into a folder."""
    out = tmp_path_factory.mktemp("results")
    competition = open_competition(phantom)
    build_index(competition, "train", out)
    instances, series = (pl.read_parquet(out / f"{n}.parquet") for n in ("instances", "series"))
    listed = competition.series.filter(split="train")
    evidence = Evidence(listed, instances, series)
    write_annotations(competition.annotations, evidence, out, corrected=True)
    write_annotated(instances, competition.annotations, out)
    points, landmarks = (pl.read_parquet(out / f"{n}.parquet") for n in ("points", "landmarks"))
    measure_offsets(instances, points, competition.annotations, out, landmarks=landmarks)
    slices = pl.read_parquet(out / "slices.parquet")
    cut_crops(instances, slices, SLICES, CropsConfig(size_px=16), out, landmarks=landmarks)
    return out


@pytest.fixture(scope="session")
def studies(results: Path) -> list[int]:
    """Return the studies' ids; by the phantom's plan the fourth study has no T1."""
    return sorted(pl.read_parquet(results / "studies.parquet")["study_id"].to_list())
