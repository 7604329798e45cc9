"""The one real study with annotated points: three series with RLE compression."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.lumbar.annotations.patient_space import place_annotations
from lsdc.challenges.lumbar.competition.tables import Competition, open_competition
from lsdc.challenges.lumbar.config.crops import CropsConfig
from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.coordinates.annotated import annotated_points
from lsdc.challenges.lumbar.slices.choose import choose_slices
from lsdc.challenges.lumbar.slices.slice_offsets import measure_offsets
from tests.challenges.lumbar.crops.cutting import cut_crops
from tests.dicom_index.indexing import build_index

STUDY = 100206310


@pytest.fixture(scope="module")
def competition(real_data: Path) -> Competition:
    return open_competition(real_data / "competition")


@pytest.fixture(scope="module")
def folder(competition: Competition, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("real")
    build_index(competition, "train", out)
    instances = pl.read_parquet(out / "instances.parquet")
    points = annotated_points(instances, competition.annotations)
    points.write_parquet(out / "points.parquet")
    measure_offsets(instances, points, competition.annotations, out)
    return out


def test_all_three_series_are_indexed(folder: Path) -> None:
    instances = pl.read_parquet(folder / "instances.parquet")
    assert set(instances["series_description"]) == {"Sagittal T1", "Sagittal T2/STIR", "Axial T2"}
    assert instances["transfer_syntax"].unique().to_list() == ["1.2.840.10008.1.2.5"]  # RLE
    assert pl.read_parquet(folder / "quarantine.parquet").is_empty()


def test_all_ten_foraminal_points_are_on_their_named_side(
    competition: Competition, folder: Path
) -> None:
    foraminal = competition.annotations.filter(
        pl.col("condition").str.contains("foraminal"), study_id=STUDY
    )
    assert len(foraminal) == 10
    placed = place_annotations(pl.read_parquet(folder / "instances.parquet"), foraminal)
    middle = pl.read_parquet(folder / "points.parquet").select("level", middle_mm="x_mm")
    offset = placed.join(middle, on="level").select(
        "condition", offset_mm=pl.col("x_mm") - pl.col("middle_mm")
    )
    is_left = offset["condition"].str.starts_with("left")
    assert ((offset["offset_mm"] > 0) == is_left).all()
    assert offset["offset_mm"].abs().min() > 8
    assert pl.read_parquet(folder / "conflicts.parquet").is_empty()


def test_nearest_axial_slice_is_within_one_instance_of_an_annotation(
    competition: Competition, folder: Path
) -> None:
    chosen = choose_slices(pl.read_parquet(folder / "slices.parquet"), SlicesConfig())
    axial = chosen.filter(pl.col("series_description") == "Axial T2")
    nearest = axial.sort(pl.col("offset_mm").abs()).group_by("level").first()
    annotated = competition.annotations.filter(
        pl.col("condition").str.contains("subarticular"), study_id=STUDY
    )
    both = nearest.join(annotated, on=["series_id", "level"], suffix="_annotated")
    away = both.group_by("level").agg(
        instances=(pl.col("instance_number") - pl.col("instance_number_annotated")).abs().min()
    )
    assert len(away) == 5
    assert away["instances"].max() <= 1


def test_all_five_levels_are_cropped(folder: Path) -> None:
    instances = pl.read_parquet(folder / "instances.parquet")
    slices = pl.read_parquet(folder / "slices.parquet")
    assert cut_crops(instances, slices, SlicesConfig(), CropsConfig(size_px=64), folder) == 5
    mask = np.array(pl.read_parquet(folder / "samples.parquet")["mask"].to_list())
    assert mask.shape == (5, 25)
    assert mask.all()
