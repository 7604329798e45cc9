from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.experiments.config import CropsConfig, SlicesConfig
from lsdc.lumbar.coordinates import annotated_points
from lsdc.lumbar.crops import cut_crops
from lsdc.lumbar.index import build_index
from lsdc.lumbar.mirror import mirror
from lsdc.lumbar.samples import as_samples, read_table
from lsdc.lumbar.sides import find_sides
from lsdc.lumbar.tables import open_competition
from lsdc.lumbar.vocabulary import Condition
from lsdc.phantom.writer import write_phantom
from lsdc.training.samples import EMPTY_LABEL, Samples

CHOICE = SlicesConfig(side_slices=2, middle_slices=3, axial_slices=3)
CONFIG = CropsConfig(size_px=32)


def in_a_mirror(table: pl.DataFrame) -> pl.DataFrame:
    """The same pixels, lying in the mirror image of patient space."""
    flip = pl.Series([[-1.0, 1.0, 1.0]], dtype=pl.Array(pl.Float64, 3))
    if "x_mm" in table.columns:
        return table.with_columns(pl.col("x_mm") * -1)
    directions = table["orientation"].to_numpy().reshape(-1, 2, 3) * flip.to_numpy()[0]
    return table.with_columns(
        pl.Series("position_mm", table["position_mm"].to_numpy() * flip.to_numpy()[0]).cast(
            pl.Array(pl.Float64, 3)
        ),
        pl.Series("orientation", directions.reshape(-1, 6)).cast(pl.Array(pl.Float64, 6)),
    )


def cut(instances: pl.DataFrame, points: pl.DataFrame, labels: pl.DataFrame, out: Path) -> Samples:
    find_sides(instances, points, None, out)
    cut_crops(instances, pl.read_parquet(out / "slices.parquet"), CHOICE, CONFIG, out)
    return as_samples(out, read_table(out, "train"), labels)


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> tuple[Samples, Samples]:
    """The samples of a patient, and of the patient's mirror image."""
    root = tmp_path_factory.mktemp("mirror")
    write_phantom(root / "data", studies=2, test=0, seed=0, max_size=96)
    competition = open_competition(root / "data")
    build_index(competition, "train", root)
    instances = pl.read_parquet(root / "instances.parquet")
    points = annotated_points(instances, competition.annotations)
    swap = {str(condition): str(condition.mirrored) for condition in Condition}
    swapped = competition.labels.with_columns(pl.col("condition").replace_strict(swap))
    return (
        cut(instances, points, competition.labels, root / "patient"),
        cut(in_a_mirror(instances), in_a_mirror(points), swapped, root / "mirrored"),
    )


def test_mirroring_twice_changes_nothing(patients: tuple[Samples, Samples]) -> None:
    for sample in patients[0]:
        twice = mirror(mirror(sample, CHOICE), CHOICE)
        assert all(np.array_equal(a, b) for a, b in zip(sample, twice, strict=True))


def test_mirrored_sample_is_the_sample_of_the_mirrored_patient(
    patients: tuple[Samples, Samples],
) -> None:
    patient, mirrored = patients
    assert len(patient) == len(mirrored) == 10
    assert not np.array_equal(patient.present, mirrored.present) or patient.present.all()
    for one, other in zip(patient, mirrored, strict=True):
        found = mirror(one, CHOICE)
        assert np.array_equal(found.labels, other.labels)
        assert np.array_equal(found.present, other.present)
        apart = found.slices[found.present].astype(int) - other.slices[other.present]
        assert np.abs(apart).max() <= 1  # resampled the other way round, and rounded


def test_sides_differ_so_that_a_forgotten_swap_would_show(
    patients: tuple[Samples, Samples],
) -> None:
    one, other = patients
    assert not np.array_equal(one.labels, other.labels)
    assert (one.labels != EMPTY_LABEL).any()
    assert not np.array_equal(one.slices, other.slices)
