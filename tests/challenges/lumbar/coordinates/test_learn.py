"""The coordinates stage as a whole, on a small phantom."""

from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.lumbar.annotations.patient_space import place_annotations
from lsdc.challenges.lumbar.competition.tables import open_competition
from lsdc.challenges.lumbar.config.coordinates import CoordinatesConfig
from lsdc.challenges.lumbar.coordinates.annotated import annotated_points
from lsdc.challenges.lumbar.coordinates.learn import learn_points, locate_points
from lsdc.challenges.lumbar.coordinates.typical import image_middles, typical_offsets
from lsdc.challenges.lumbar.vocabulary import LEVELS
from lsdc.errors import DataError
from lsdc.training.events import Event, FilesRead, NetEpochDone
from tests.challenges.lumbar.coordinates.made_series import (
    CANAL,
    GEOMETRIES,
    XYZ,
    annotations_of,
    sagittal_instances,
    series_with_a_spot,
)
from tests.dicom_index.indexing import build_index

TINY = CoordinatesConfig(
    image_size=64,
    axial_image_size=48,
    width=8,
    epochs=1,
    batch_size=3,
    slices_per_series=3,
    learning_rate=5e-3,
)
TABLES = ["landmarks.parquet", "moves.parquet", "points.parquet", "spines.parquet"]


class Learning:
    """A small phantom with hard cases, and the stage's results for it."""

    def __init__(self, data: Path, root: Path) -> None:
        self.root = root
        competition = open_competition(data)
        frames = []
        for split in ("train", "test"):
            (root / split).mkdir()
            build_index(competition, split, root / split)
            frames.append(pl.read_parquet(root / split / "instances.parquet"))
        whole = competition.series.filter(split="train").group_by("study_id").n_unique()
        self.studies = whole.sort("series_description", "study_id", descending=True)[
            "study_id"
        ].to_list()
        # The last study may be the phantom's own study without T1.
        self.only = dict(
            zip(self.studies[:3], ["Sagittal T1", "Sagittal T2/STIR", "Axial T2"], strict=True)
        )
        only = pl.col("study_id").replace_strict(self.only, default=None)
        self.instances = pl.concat(frames).filter(
            only.is_null() | (only == pl.col("series_description")) | (pl.col("split") == "test")
        )
        self.unannotated = self.studies[3]
        self.annotations = competition.annotations.filter(pl.col("study_id") != self.unannotated)
        self.folds = pl.DataFrame(
            {"study_id": self.studies, "fold": [k % 2 for k in range(len(self.studies))]}
        )
        self.lines: list[Event] = []
        self.first = self.learn("first", self.annotations)

    def learn(self, name: str, annotations: pl.DataFrame) -> Path:
        out = self.root / name
        learn_points(
            instances=self.instances,
            annotations=annotations,
            folds=self.folds,
            config=TINY,
            out=out,
            seed=0,
            device="cpu",
            threads=1,
            processes=1,
            log=self.root / "log",
            on_event=self.lines.append,
        )
        return out


@pytest.fixture(scope="module")
def learning(phantom, tmp_path_factory):
    return Learning(phantom, tmp_path_factory.mktemp("coordinates"))


def points_of(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / "points.parquet")


def assert_in_order(points: pl.DataFrame) -> None:
    for _, own in points.group_by("study_id"):
        levels = own["level"].to_list()  # nets with so little training may miss levels
        assert levels == [str(level) for level in LEVELS if str(level) in levels]
        assert (np.diff(own["z_mm"].to_numpy()) < 0).all()
        assert own["confidence"].is_between(0, 1, closed="right").all()


def test_stage_writes_models_and_tables_only(learning):
    names = sorted(path.name for path in learning.first.iterdir())
    nets = [
        f"fold-{fold}-{views}.safetensors" for fold in (0, 1) for views in ("axial", "sagittal")
    ]
    assert names == sorted([*nets, "usual.json", "point_errors.parquet", *TABLES])
    points = points_of(learning.first)
    assert set(points["split"]) == {"train"}
    assert_in_order(points)


def test_errors_are_those_of_predicted_points_of_annotated_levels(learning):
    errors = pl.read_parquet(learning.first / "point_errors.parquet")
    assert learning.unannotated not in errors["study_id"]
    canal = errors.filter(condition="spinal_canal_stenosis")
    found = canal.join(points_of(learning.first), on=["study_id", "level"], suffix="_found")
    assert len(found) == len(canal) >= 10
    places = place_annotations(learning.instances, learning.annotations)
    marked = places.filter(condition="spinal_canal_stenosis")
    both = found.join(marked, on=["study_id", "level"], suffix="_marked")
    # The midline moves canal annotations across the slices only, along x.
    for axis in ("y_mm", "z_mm"):
        apart = both[f"{axis}_found"] - both[f"{axis}_marked"]
        # A series that is shifted back differs from its annotations as they are stored.
        assert (apart - both[axis]).abs().quantile(0.25) < 1


def test_progress_counts_files_folds_and_epochs(learning):
    trained = [event for event in learning.lines if isinstance(event, NetEpochDone)]
    for fold, views in product((0, 1), ("axial", "sagittal")):
        ours = [event for event in trained if (event.fold, event.views) == (fold, views)]
        own, last = [event.epoch for event in ours], ours[0].epochs
        assert own[:last] == list(range(1, last + 1))
    read = [event for event in learning.lines if isinstance(event, FilesRead)]
    assert read[-1].read == read[-1].files > 0


def test_model_of_a_fold_never_uses_the_folds_own_annotations(learning):
    own = learning.folds.filter(fold=0)["study_id"].implode()
    moved = learning.annotations.with_columns(
        x_px=pl.when(pl.col("study_id").is_in(own)).then(pl.col("x_px") * 0.5).otherwise("x_px")
    )
    second = learning.learn("second", moved)
    for views in ("axial", "sagittal"):
        ours, others = (
            [(folder / f"fold-{fold}-{views}.safetensors").read_bytes() for folder in folders]
            for fold, folders in ((0, (learning.first, second)), (1, (learning.first, second)))
        )
        assert ours[0] == ours[1]
        assert others[0] != others[1]
    mine = pl.col("study_id").is_in(own)
    for name in TABLES:
        one, other = (pl.read_parquet(folder / name) for folder in (learning.first, second))
        assert one.filter(mine).equals(other.filter(mine))


def test_test_studies_get_points_from_all_models(learning):
    out = learning.root / "located"
    locate_points(
        instances=learning.instances,
        models=learning.first,
        out=out,
        device="cpu",
        threads=1,
        processes=1,
        log=learning.root / "log",
        on_event=learning.lines.append,
    )
    points = points_of(out)
    assert set(points["split"]) <= {"test"}
    assert_in_order(points)
    # Nets with so little training detect almost nothing, but every test study gets points.
    test = learning.instances.filter(split="test")
    assert set(points["study_id"]) == set(test["study_id"])
    assert sorted(path.name for path in out.iterdir()) == TABLES


def test_typical_positions_are_near_the_levels_of_other_studies(learning, phantom):
    instances, answers = learning.instances, pl.read_csv(phantom / "answers" / "points.csv")
    middles = image_middles(instances)
    truth = {
        study: own.sort("level").select(XYZ).to_numpy()
        for (study,), own in answers.group_by("study_id")
    }
    places = place_annotations(instances, learning.annotations)
    for study in learning.folds["study_id"]:
        others = places.filter(pl.col("study_id") != study)
        guess = middles[study] + typical_offsets(others, instances)
        off = np.linalg.norm(guess - truth[study], axis=1)
        spread = np.linalg.norm(truth[study] - truth[study].mean(axis=0), axis=1)
        assert off.mean() < spread.mean()  # nearer than a single position for all levels


def test_folder_without_models_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no fold-K-VIEWS\.safetensors"):
        locate_points(
            instances=sagittal_instances(),
            models=tmp_path,
            out=tmp_path,
            device="cpu",
            threads=1,
            processes=1,
            log=tmp_path / "log",
            on_event=print,
        )


def test_fold_without_training_data_is_refused(tmp_path):
    instances = series_with_a_spot(tmp_path, np.zeros(3), GEOMETRIES["plain"])
    with pytest.raises(DataError, match="coordinates, fold 0: no study outside the fold"):
        learn_points(
            instances=instances,
            annotations=annotations_of(CANAL),
            folds=pl.DataFrame({"study_id": [1], "fold": [0]}),
            config=TINY,
            out=tmp_path / "out",
            seed=0,
            device="cpu",
            threads=1,
            processes=1,
            log=tmp_path / "log",
            on_event=lambda _: None,
        )


def test_annotated_points_of_the_phantom_match_its_answers(learning, phantom):
    points = annotated_points(learning.instances, learning.annotations)
    answers = pl.read_csv(phantom / "answers" / "points.csv")
    both = points.filter(source="annotated").join(answers, on=["study_id", "level"], suffix="_true")
    error = both.select(XYZ).to_numpy() - both.select(f"{axis}_true" for axis in XYZ).to_numpy()
    assert len(both) >= 10
    assert np.median(np.linalg.norm(error, axis=1)) < 3.0
