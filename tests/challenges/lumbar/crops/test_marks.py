"""Marks: the slice of a sample that is annotated, or nearest to the annotated point."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.lumbar.competition.tables import Competition, open_competition
from lsdc.challenges.lumbar.config.crops import CropsConfig
from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.coordinates.annotated import annotated_points
from lsdc.challenges.lumbar.crops.marks import Marks, find_marks
from lsdc.challenges.lumbar.crops.plan import choose_crops, list_samples
from lsdc.challenges.lumbar.phantom.study import Order
from lsdc.challenges.lumbar.phantom.writer import write_phantom
from lsdc.challenges.lumbar.slices.slice_offsets import measure_offsets
from lsdc.challenges.lumbar.slices.slots import list_places, list_stored
from lsdc.challenges.lumbar.training.samples import as_samples
from lsdc.challenges.lumbar.vocabulary import CONDITIONS
from tests.dicom_index.indexing import build_index

CHOICE, CONFIG = SlicesConfig(), CropsConfig(size_px=16)


class Walked:
    """A phantom of 3 studies up to the choice of slices."""

    def __init__(self, root: Path) -> None:
        write_phantom(root / "data", Order(studies=3, test=0, seed=3, max_size=64))
        self.competition: Competition = open_competition(root / "data")
        build_index(self.competition, "train", root)
        self.instances = pl.read_parquet(root / "instances.parquet")
        points = annotated_points(self.instances, self.competition.annotations)
        measure_offsets(self.instances, points, None, root)
        self.slices = pl.read_parquet(root / "slices.parquet")
        self.samples = list_samples(self.slices, CONFIG)

    def marks(self, annotations: pl.DataFrame, choice: SlicesConfig = CHOICE) -> pl.DataFrame:
        given = self.instances, self.slices, annotations, self.samples
        return Marks.validate(find_marks(*given, choice, CONFIG))


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Walked:
    return Walked(tmp_path_factory.mktemp("marks"))


def test_marked_slice_is_the_annotated_one(walked: Walked) -> None:
    annotations = walked.competition.annotations
    marks = walked.marks(annotations)
    chosen = choose_crops(walked.instances, walked.slices, walked.samples, CHOICE, CONFIG)
    shown = walked.instances[chosen["instance"]].select("series_id", "instance_number")
    slots = chosen.select("study_id", "level", "row", "place").hstack(shown)
    found = marks.join(slots, on=["row", "place"]).join(
        annotations, on=["study_id", "level", "condition"], suffix="_annotated"
    )
    is_same = (pl.col("series_id") == pl.col("series_id_annotated")) & (
        pl.col("instance_number") == pl.col("instance_number_annotated")
    )
    assert marks.select("row", "condition").n_unique() > 0.9 * len(annotations)
    assert found.select(is_same.mean()).item() > 0.9
    assert found.filter(is_same)["distance_mm"].max() < 1e-6
    places = list_places(CHOICE)
    kinds = {str(condition): condition.shown_on for condition in CONDITIONS}
    for condition, place in marks.select("condition", "place").iter_rows():
        assert places[place].description == kinds[condition]


def test_marks_number_the_stored_slots(walked: Walked) -> None:
    """With spare slices the same slices are marked, and some that only a move shows."""
    spared = CHOICE.model_copy(update={"spare_slices": 1})
    stored = list_stored(spared)
    plain, more = (walked.marks(walked.competition.annotations, each) for each in (CHOICE, spared))
    places = dict(enumerate(list_places(CHOICE)))
    own = {(row, head, places[place]) for row, head, place, _ in plain.iter_rows()}
    found = {(row, head, stored[place]) for row, head, place, _ in more.iter_rows()}
    exact = {(row, head) for row, head, _, away in plain.iter_rows() if away < 1e-6}
    assert {each for each in own if each[:2] in exact} <= found
    assert {number for number, place in enumerate(stored) if place.number == -1} & {*more["place"]}


def test_slice_in_two_slots_is_marked_in_both(walked: Walked) -> None:
    overlapping = SlicesConfig(middle_slices=9, middle_tolerance_mm=21.0)
    marks = walked.marks(walked.competition.annotations, overlapping)
    twice = marks.group_by("row", "condition").len().filter(pl.col("len") > 1)
    assert len(twice) > 3


def test_annotation_far_from_all_slices_marks_none(walked: Walked) -> None:
    canal = walked.competition.annotations.filter(condition="spinal_canal_stenosis")
    none = SlicesConfig(side_distance_mm=40, middle_slices=0, t1_middle=False)
    assert len(walked.marks(canal))
    assert walked.marks(canal, none).is_empty()


def test_labels_share_a_mark_between_its_slots_and_skip_unreadable_slices(tmp_path: Path) -> None:
    np.save(tmp_path / "crops.npy", np.zeros((2, 3, 4, 4), np.uint8))
    table = pl.DataFrame(
        {
            "row": pl.Series([0, 1], dtype=pl.Int32),
            "study_id": [7, 7],
            "level": ["l1_l2", "l2_l3"],
            "side": pl.Series([None, None], dtype=pl.String),
            "mask": [[True, True, True], [True, False, True]],
        }
    )
    marks = pl.DataFrame(
        {
            "row": pl.Series([0, 0, 1, 1], dtype=pl.Int32),
            "condition": ["spinal_canal_stenosis"] * 3 + ["left_subarticular_stenosis"],
            "place": pl.Series([0, 2, 1, 0], dtype=pl.Int32),
        }
    )
    shares = as_samples(tmp_path, table, marks=marks).labels.slices
    assert shares is not None
    assert shares.shape == (2, 5, 3)
    assert shares[0, 0].tolist() == [0.5, 0, 0.5]
    assert shares[1, 3].tolist() == [1, 0, 0]
    assert shares.sum() == 2  # the slice that was marked in sample 1 could not be read
