from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.lumbar.competition.tables import open_competition
from lsdc.challenges.lumbar.config.crops import CropsConfig
from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.coordinates.annotated import annotated_points
from lsdc.challenges.lumbar.crops.marks import find_marks
from lsdc.challenges.lumbar.phantom.study import Order
from lsdc.challenges.lumbar.phantom.writer import write_phantom
from lsdc.challenges.lumbar.slices.slice_offsets import measure_offsets
from lsdc.challenges.lumbar.training.mirror import mirror
from lsdc.challenges.lumbar.training.samples import as_rows, as_samples, read_table
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADES, Condition, Side
from lsdc.training.samples import EMPTY_LABEL, Samples
from tests.challenges.lumbar.crops.cutting import cut_crops
from tests.dicom_index.indexing import build_index

CHOICE = SlicesConfig(side_slices=2, middle_slices=3, axial_slices=3)
CONFIG = CropsConfig(size_px=32)


def in_a_mirror(table: pl.DataFrame) -> pl.DataFrame:
    """Return the same pixels in the mirror image of patient space."""
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


def swapped(table: pl.DataFrame) -> pl.DataFrame:
    """Return the labels or annotations of the mirror images."""
    swap = {str(condition): str(condition.mirrored) for condition in Condition}
    return table.with_columns(pl.col("condition").replace_strict(swap))


def cut(
    instances: pl.DataFrame,
    points: pl.DataFrame,
    labels: pl.DataFrame,
    annotations: pl.DataFrame,
    out: Path,
) -> Samples:
    measure_offsets(instances, points, None, out)
    slices = pl.read_parquet(out / "slices.parquet")
    cut_crops(instances, slices, CHOICE, CONFIG, out)
    table = read_table(out, "train")
    marks = find_marks(instances, slices, annotations, table, CHOICE, CONFIG)
    return as_samples(out, table, labels, marks=marks)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a phantom of 2 studies to `data`, and its index."""
    root = tmp_path_factory.mktemp("mirror")
    write_phantom(root / "data", Order(studies=2, test=0, seed=0, max_size=96))
    build_index(open_competition(root / "data"), "train", root)
    return root


@pytest.fixture(scope="module")
def patients(root: Path) -> tuple[Samples, Samples]:
    """Return the samples of the patients, and of their mirror images."""
    competition = open_competition(root / "data")
    instances = pl.read_parquet(root / "instances.parquet")
    points = annotated_points(instances, competition.annotations)
    labels, annotations = competition.labels, competition.annotations
    return (
        cut(instances, points, labels, annotations, root / "patient"),
        cut(
            in_a_mirror(instances),
            in_a_mirror(points),
            swapped(labels),
            swapped(annotations),
            root / "mirrored",
        ),
    )


@pytest.fixture(scope="module")
def by_side(root: Path, patients: tuple[Samples, Samples]) -> Path:
    """Cut the crops of the patients, one sample per side."""
    slices = pl.read_parquet(root / "patient" / "slices.parquet")
    instances = pl.read_parquet(root / "instances.parquet")
    config = CONFIG.model_copy(update={"by_side": True})
    cut_crops(instances, slices, CHOICE, config, root / "by_side")
    return root / "by_side"


def test_mirroring_twice_restores_the_sample(patients: tuple[Samples, Samples]) -> None:
    for sample in patients[0]:
        twice = mirror(mirror(sample, CHOICE), CHOICE)
        assert np.array_equal(twice.slices, sample.slices)
        assert np.array_equal(twice.present, sample.present)
        assert np.array_equal(twice.labels.grades, sample.labels.grades)
        assert np.array_equal(twice.labels.slices, sample.labels.slices)


def test_mirrored_sample_equals_the_sample_of_the_mirrored_patient(
    patients: tuple[Samples, Samples],
) -> None:
    patient, mirrored = patients
    assert len(patient) == len(mirrored) == 10
    assert not np.array_equal(patient.present, mirrored.present) or patient.present.all()
    for one, other in zip(patient, mirrored, strict=True):
        found = mirror(one, CHOICE)
        assert np.array_equal(found.labels.grades, other.labels.grades)
        assert np.array_equal(found.labels.slices, other.labels.slices)
        assert np.array_equal(found.present, other.present)
        apart = found.slices[found.present].astype(int) - other.slices[other.present]
        assert np.abs(apart).max() <= 1  # resampled in the opposite direction, and rounded


def test_samples_of_patient_and_mirror_image_differ(
    patients: tuple[Samples, Samples],
) -> None:
    one, other = patients
    assert not np.array_equal(one.labels.grades, other.labels.grades)
    assert (one.labels.grades != EMPTY_LABEL).any()
    assert not np.array_equal(one.labels.slices, other.labels.slices)
    assert not np.array_equal(one.slices, other.slices)


def test_samples_by_side_are_left_sides_of_patient_and_mirror_image(
    root: Path, by_side: Path, patients: tuple[Samples, Samples]
) -> None:
    competition, table = open_competition(root / "data"), read_table(by_side, "train")
    marks = find_marks(
        pl.read_parquet(root / "instances.parquet"),
        pl.read_parquet(root / "patient" / "slices.parquet"),
        competition.annotations,
        table,
        CHOICE,
        CONFIG.model_copy(update={"by_side": True}),
    )
    sided = as_samples(by_side, table, competition.labels, marks=marks)
    assert sided.ids[:2] == tuple(f"{patients[0].ids[0]}_{side}" for side in ("left", "right"))
    of_right = np.array([condition.side == Side.RIGHT for condition in CONDITIONS])
    for number, pair in enumerate(zip(*patients, strict=True)):
        for found, whole in zip((sided[2 * number], sided[2 * number + 1]), pair, strict=True):
            assert np.array_equal(found.present, whole.present)
            apart = found.slices[found.present].astype(int) - whole.slices[whole.present]
            assert np.abs(apart).max() <= 1
            grades = found.labels.grades
            assert np.array_equal(grades[~of_right], whole.labels.grades[~of_right])
            assert (grades[of_right] == EMPTY_LABEL).all()
            assert np.array_equal(found.labels.slices[~of_right], whole.labels.slices[~of_right])
            assert not found.labels.slices[of_right].any()


def test_predictions_by_side_are_joined_per_level(root: Path, by_side: Path) -> None:
    """If each sample is predicted as labelled, the joined predictions are the labels."""
    labels, table = open_competition(root / "data").labels, read_table(by_side, "train")
    asked = as_samples(by_side, table, labels).labels.grades
    said = np.full((*asked.shape, len(GRADES)), 1 / 3)
    said[asked != EMPTY_LABEL] = np.eye(3)[asked[asked != EMPTY_LABEL]]

    rows = as_rows(table, said)

    assert rows["row_id"].n_unique() == len(rows) == 5 * len(table) // 2
    graded = rows.join(labels.drop_nulls(), on=["study_id", "condition", "level"])
    found = graded.select(str(grade) for grade in GRADES).to_numpy()
    assert len(graded) > 30
    assert np.array_equal(found.argmax(axis=1), graded["grade"].to_numpy())


def test_canal_prediction_is_the_mean_of_both_sides(by_side: Path) -> None:
    table = read_table(by_side, "train")
    said = np.zeros((len(table), len(CONDITIONS), len(GRADES)))
    said[::2, :, 0], said[1::2, :, 1] = 1, 1  # left samples predict mild, right ones moderate
    means = as_rows(table, said).group_by("condition").agg(pl.col("normal_mild").mean())
    expected = {condition: 1.0 if condition.side == Side.LEFT else 0.0 for condition in CONDITIONS}
    assert dict(means.rows()) == expected | {Condition.SPINAL_CANAL_STENOSIS: 0.5}
