"""Level points: rules, prepared images, and the whole stage on a small phantom."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from lsdc.challenges.lumbar.annotations.patient_space import place_annotations
from lsdc.challenges.lumbar.competition.tables import open_competition
from lsdc.challenges.lumbar.config.experiment import CoordinatesConfig
from lsdc.challenges.lumbar.coordinates.annotated import annotated_points
from lsdc.challenges.lumbar.coordinates.learn import learn_points, locate_points
from lsdc.challenges.lumbar.coordinates.level_points import (
    complete_levels,
    fuse_views,
    known_points,
    median_of_models,
)
from lsdc.challenges.lumbar.coordinates.typical import image_middles, typical_offsets
from lsdc.challenges.lumbar.coordinates.views import SAGITTAL, prepare_views
from lsdc.challenges.lumbar.vocabulary import LEVELS
from lsdc.dicom_index.index import build_index
from lsdc.errors import DataError
from lsdc.training.events import Event, FilesRead, NetEpochDone
from tests.challenges.lumbar.planned import used

SPINE = np.array([[3.0, 40.0 + 2 * k, -100.0 - 35.0 * k] for k in range(5)])
SURE = np.full(5, 0.8)
TINY = CoordinatesConfig(
    image_size=64,
    axial_image_size=48,
    width=8,
    epochs=1,
    batch_size=3,
    slices_per_series=3,
    learning_rate=5e-3,
)
XYZ = ["x_mm", "y_mm", "z_mm"]
TABLES = ["landmarks.parquet", "moves.parquet", "points.parquet", "spines.parquet"]


# Rules.


def test_trusted_points_pass_unchanged():
    points, trust, filled = complete_levels(SPINE, SURE)
    np.testing.assert_array_equal(points, SPINE)
    np.testing.assert_array_equal(trust, SURE)
    assert not filled.any()


@pytest.mark.parametrize("missing", [[0], [2], [4], [1, 2], [0, 4], [0, 1, 2]])
def test_unseen_levels_are_filled_from_the_others_with_less_confidence(missing):
    points = SPINE.copy()
    points[missing] = np.nan
    completed, trust, filled = complete_levels(points, np.where(np.isnan(points[:, 0]), 0, SURE))
    np.testing.assert_allclose(completed, SPINE, atol=1e-9)  # this spine is straight
    assert np.flatnonzero(filled).tolist() == missing
    assert (trust[filled] < 0.3).all()
    assert (trust > 0).all()


def test_one_seen_level_is_enough_and_none_is_not():
    points = np.full((5, 3), np.nan)
    assert complete_levels(points, np.zeros(5)) is None
    assert complete_levels(SPINE, np.full(5, 0.01)) is None
    points[3] = SPINE[3]
    completed, _, filled = complete_levels(points, np.array([0, 0, 0, 0.9, 0]))
    assert filled.tolist() == [True, True, True, False, True]
    assert (np.diff(completed[:, 2]) < 0).all()


def test_levels_are_never_out_of_order():
    rng = np.random.default_rng(0)
    for _ in range(300):
        points = SPINE + rng.normal(0, 40, (5, 3))
        completed = complete_levels(points, rng.uniform(0, 1, 5))
        if completed is not None:
            assert (np.diff(completed[0][:, 2]) < 0).all()
            assert ((completed[1] > 0) & (completed[1] <= 1)).all()


def test_of_two_levels_in_the_wrong_order_the_more_trusted_stays():
    points = SPINE.copy()
    points[2] = points[3] + [0, 0, -20.0]
    trust = SURE.copy()
    trust[2] = 0.5
    completed, _, filled = complete_levels(points, trust)
    assert np.flatnonzero(filled).tolist() == [2]
    np.testing.assert_allclose(completed[2], SPINE[2], atol=1e-9)


def test_views_that_agree_share_in_the_place_by_confidence():
    views = np.stack([SPINE, SPINE + np.array([4.0, 0, 0])])
    points, trust = fuse_views(views, np.stack([np.full(5, 0.9), np.full(5, 0.3)]))
    np.testing.assert_allclose(points, SPINE + np.array([1.0, 0, 0]))
    assert ((trust > 0.5) & (trust <= 0.9)).all()


def test_a_view_that_disagrees_costs_confidence_and_moves_nothing():
    views = np.stack([SPINE, SPINE + np.array([0, 0, 30.0])])
    points, trust = fuse_views(views, np.stack([np.full(5, 0.8), np.full(5, 0.4)]))
    np.testing.assert_allclose(points, SPINE)
    assert (trust < 0.6).all()


def test_one_view_alone_stands_as_it_is():
    points, trust = fuse_views(SPINE[None], SURE[None])
    np.testing.assert_allclose(points, SPINE)
    np.testing.assert_allclose(trust, SURE)


def test_models_are_joined_by_their_median_and_trusted_less_where_they_disagree():
    models = np.repeat(SPINE[None], 4, axis=0)
    models[3, 1, 2] += 25.0
    models[2, 4, 2] += 2.0
    points, trust = median_of_models(models, np.repeat(SURE[None], 4, axis=0))
    np.testing.assert_allclose(points, SPINE, atol=1e-9)
    assert trust[0] == pytest.approx(0.8)
    assert trust[1] == pytest.approx(0.75 * 0.8, abs=0.01)
    assert 0.75 < trust[4] < 0.8


def test_one_model_that_names_every_level_one_off_takes_no_point_away():
    rng = np.random.default_rng(0)
    models = SPINE + rng.normal(0.0, 1.0, (4, 5, 3))
    models[3] += SPINE[1] - SPINE[0]
    completed = complete_levels(*median_of_models(models, np.full((4, 5), 0.9)))
    assert completed is not None
    points, trust, filled = completed
    assert not filled.any()
    assert np.linalg.norm(points - SPINE, axis=1).max() < 2
    assert ((trust > 0.6) & (trust < 0.75)).all()


def test_models_at_odds_half_and_half_see_nothing():
    models = np.repeat(SPINE[None], 4, axis=0)
    models[2:] += SPINE[1] - SPINE[0]
    assert complete_levels(*median_of_models(models, np.full((4, 5), 0.9))) is None


# Annotations.


def sagittal_instances(count: int = 9, **changes: Any) -> pl.DataFrame:
    """Instances of one T2 series: 5 mm apart, pixels of 2 mm down and 1 mm across."""
    rows = [
        {
            "split": "train",
            "study_id": 1,
            "series_id": 11,
            "instance_number": k,
            "series_description": "Sagittal T2/STIR",
            "path": "",
            "frame": 1,
            "rows": 100,
            "columns": 80,
            "row_spacing_mm": 2.0,
            "column_spacing_mm": 1.0,
            "position_mm": [20.0 - 5.0 * k, -40.0, 90.0],
            "orientation": [0.0, 1.0, 0.0, 0.0, 0.0, -1.0],
        }
        | changes
        for k in range(count)
    ]
    arrays = {"position_mm": pl.Array(pl.Float64, 3), "orientation": pl.Array(pl.Float64, 6)}
    return used(pl.DataFrame(rows, schema_overrides=arrays))


def annotations_of(rows: list[tuple[int, str, str, float, float]]) -> pl.DataFrame:
    table = pl.DataFrame(
        rows, schema=["instance_number", "condition", "level", "x_px", "y_px"], orient="row"
    )
    return table.with_columns(study_id=pl.lit(1), series_id=pl.lit(11))


CANAL = [
    (4, "spinal_canal_stenosis", str(level), 30.0, 10.0 + 17 * k) for k, level in enumerate(LEVELS)
]


def test_canal_annotations_become_points_in_mm():
    points = annotated_points(sagittal_instances(), annotations_of(CANAL))
    assert points["source"].to_list() == ["annotated"] * 5
    assert points["level"].to_list() == [str(level) for level in LEVELS]
    assert points["confidence"].to_list() == [1.0] * 5
    expected = [[0.0, -10.0, 90.0 - 2 * (10 + 17 * k)] for k in range(5)]
    np.testing.assert_allclose(points.select(XYZ).to_numpy(), expected)


def test_a_missing_canal_point_lies_behind_and_below_the_middle_of_the_foramina():
    sides = [
        (0, "left_neural_foraminal_narrowing", "l3_l4", 28.0, 40.0),
        (8, "right_neural_foraminal_narrowing", "l3_l4", 32.0, 42.0),
    ]
    rows = [row for row in CANAL if row[2] != "l3_l4"]
    points = annotated_points(sagittal_instances(), annotations_of(rows + sides))
    level = points.filter(level="l3_l4")
    assert level["source"].to_list() == ["filled"]
    np.testing.assert_allclose(level.select(XYZ).to_numpy(), [[0.0, -10.0 + 4.0, 8.0 - 5.0]])


def test_one_side_alone_says_nothing_of_the_middle():
    rows = [row for row in CANAL if row[2] != "l3_l4"]
    side = [(0, "left_neural_foraminal_narrowing", "l3_l4", 28.0, 40.0)]
    points = annotated_points(sagittal_instances(), annotations_of(rows + side))
    level = points.filter(level="l3_l4")
    assert level["source"].to_list() == ["filled"]
    np.testing.assert_allclose(level.select(XYZ).to_numpy(), [[0.0, -10.0, 90 - 2 * 44.0]])


def test_annotations_of_images_that_are_not_there_are_left_out():
    gone = [(99, *row[1:]) for row in CANAL]
    assert annotated_points(sagittal_instances(), annotations_of(gone)).is_empty()


def test_the_real_study_has_its_levels_in_order_and_a_vertebra_apart(real_data):
    competition = open_competition(real_data / "competition")
    rows = []
    for study, series in competition.annotations.select("study_id", "series_id").unique().rows():
        folder = competition.root / f"train_images/{study}/{series}"
        for path in sorted(folder.glob("*.dcm")):
            header = pydicom.dcmread(path, stop_before_pixels=True)
            rows.append(
                {
                    "study_id": study,
                    "series_id": series,
                    "instance_number": int(path.stem),
                    "rows": int(header.Rows),
                    "columns": int(header.Columns),
                    "row_spacing_mm": float(header.PixelSpacing[0]),
                    "column_spacing_mm": float(header.PixelSpacing[1]),
                    "position_mm": [float(value) for value in header.ImagePositionPatient],
                    "orientation": [float(value) for value in header.ImageOrientationPatient],
                }
            )
    arrays = {"position_mm": pl.Array(pl.Float64, 3), "orientation": pl.Array(pl.Float64, 6)}
    table = pl.DataFrame(rows, schema_overrides=arrays).with_columns(split=pl.lit("train"))
    instances = used(table.join(competition.series, on=["split", "study_id", "series_id"]))
    points = annotated_points(instances, competition.annotations)
    assert points["study_id"].unique().to_list() == [100206310]
    assert points["source"].to_list() == ["annotated"] * 5
    steps = np.diff(points.select(XYZ).to_numpy(), axis=0)
    assert (steps[:, 2] < 0).all()
    assert ((np.linalg.norm(steps, axis=1) > 22) & (np.linalg.norm(steps, axis=1) < 45)).all()
    # What the sides say of the middle must be near what the canal says.
    places = place_annotations(instances, competition.annotations)
    _, middles, _ = known_points(places.filter(pl.col("condition") != "spinal_canal_stenosis"))
    apart = np.linalg.norm(middles[0] - points.select(XYZ).to_numpy(), axis=1)
    assert (apart < 15).all()


# Images.


def write_slice(path: Path, image: np.ndarray) -> None:
    """The least of a DICOM file that pixels can be read from; geometry comes from the index."""
    file = pydicom.Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.MediaStorageSOPClassUID = file.SOPClassUID = MRImageStorage
    file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID = generate_uid()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.Rows, file.Columns = image.shape
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 16, 15, 0
    file.PixelData = image.astype("<u2").tobytes()
    file.save_as(path, enforce_file_format=True)


def series_with_a_spot(
    folder: Path, spot_mm: np.ndarray, series: list[dict[str, Any]]
) -> pl.DataFrame:
    """Write slices that are bright within 12 mm of `spot_mm`, on a ground that slowly changes."""
    table = pl.concat(sagittal_instances(1, **each, path=str(k)) for k, each in enumerate(series))
    rows = []
    for k, row in enumerate(table.iter_rows(named=True)):
        orientation, position = np.array(row["orientation"]), np.array(row["position_mm"])
        y, x = np.indices((row["rows"], row["columns"]))
        places = (
            position
            + (x * row["column_spacing_mm"])[..., None] * orientation[:3]
            + (y * row["row_spacing_mm"])[..., None] * orientation[3:]
        )
        squared = ((places - spot_mm) ** 2).sum(axis=-1)
        write_slice(folder / f"{k}.dcm", 300 + 40_000 * np.exp(-squared / (2 * 6.0**2)))
        rows.append(row | {"path": str(folder / f"{k}.dcm")})
    return pl.DataFrame(rows, schema=table.schema)


def turned(degrees: float) -> list[float]:
    """The orientation of a sagittal slice turned about the patient's long axis."""
    angle = np.deg2rad(degrees)
    return [float(np.sin(angle)), float(np.cos(angle)), 0.0, 0.0, 0.0, -1.0]


GEOMETRIES = {
    "plain": [{"position_mm": [20.0 - 5 * k, -40.0, 90.0]} for k in range(9)],
    "from right to left": [{"position_mm": [-20.0 + 5 * k, -40.0, 90.0]} for k in range(9)],
    "finer than the grid": [
        {"position_mm": [20.0 - 5 * k, -40.0, 90.0], "rows": 400, "row_spacing_mm": 0.5}
        for k in range(9)
    ],
    "coarser than the grid": [
        {
            "position_mm": [20.0 - 5 * k, -40.0, 90.0],
            "rows": 40,
            "columns": 16,
            "row_spacing_mm": 5.0,
            "column_spacing_mm": 5.0,
        }
        for k in range(9)
    ],
    "larger than the field": [
        {"position_mm": [20.0 - 5 * k, -40.0, 200.0], "rows": 200} for k in range(9)
    ],
    "mixed shapes": [
        {"position_mm": [20.0 - 5 * k, -40.0 - k, 90.0], "rows": 90 + k, "columns": 70 + 2 * k}
        for k in range(9)
    ],
    "oblique": [
        {
            "position_mm": [
                (20.0 - 5 * k) * np.cos(0.2) - 40 * np.sin(0.2),
                -(20.0 - 5 * k) * np.sin(0.2) - 40 * np.cos(0.2),
                90.0,
            ],
            "orientation": turned(np.rad2deg(0.2)),
        }
        for k in range(9)
    ],
}


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_prepared_pixel_is_where_its_plane_says(geometry, tmp_path):
    spot = np.array([2.0, -5.0, 10.0])
    instances = series_with_a_spot(tmp_path, spot, GEOMETRIES[geometry])
    series = prepare(instances, tmp_path)
    weight = np.load(tmp_path / "images.npy").astype(np.float64)
    weight[weight < 40] = 0
    y, x = np.indices(weight.shape[1:])
    origin, across, along = (part[:, None, None] for part in np.moveaxis(series.planes_mm, 1, 0))
    places = origin + x[None, ..., None] * across + y[None, ..., None] * along
    seen = (weight[..., None] * places).sum(axis=(0, 1, 2)) / weight.sum()
    assert np.linalg.norm(seen - spot) < 1.5
    # Always from the patient's right to the left.
    assert (np.diff(series.planes_mm[:, 0, 0]) > 0).all()


def prepare(instances: pl.DataFrame, folder: Path):
    return prepare_views(
        instances,
        SAGITTAL,
        folder / "images.npy",
        size=64,
        field_mm=200.0,
        processes=1,
        on_progress=lambda *_: None,
    )


def test_a_series_is_scaled_as_a_whole_before_it_is_rounded(tmp_path):
    plain = GEOMETRIES["plain"]
    spot = np.array([0.0, -5.0, 10.0])
    prepare(series_with_a_spot(tmp_path, spot, plain), tmp_path)
    images = np.load(tmp_path / "images.npy")
    peaks = images.reshape(9, -1).max(axis=1)
    assert peaks[4] == 255
    assert peaks[0] < 100  # far from the spot: dark, not stretched on its own


def test_an_unreadable_slice_is_named_and_the_rest_of_its_series_used(tmp_path):
    instances = series_with_a_spot(tmp_path, np.zeros(3), GEOMETRIES["plain"])
    (tmp_path / "3.dcm").write_bytes(b"")
    series = prepare(instances, tmp_path)
    assert series.starts.tolist() == [0, 8]
    assert [path for path, _ in series.unreadable] == [str(tmp_path / "3.dcm")]


def test_a_series_without_a_readable_slice_is_left_out(tmp_path):
    instances = series_with_a_spot(tmp_path, np.zeros(3), GEOMETRIES["plain"][:2])
    for k in range(2):
        (tmp_path / f"{k}.dcm").write_text("no image")
    series = prepare(instances, tmp_path)
    assert series.starts.tolist() == [0]
    assert len(series.unreadable) == 2


def test_the_order_of_the_rows_does_not_matter(tmp_path):
    instances = series_with_a_spot(tmp_path, np.zeros(3), GEOMETRIES["mixed shapes"])
    prepare(instances, tmp_path)
    before = (tmp_path / "images.npy").read_bytes()
    prepare(instances.sample(fraction=1, shuffle=True, seed=1), tmp_path)
    assert (tmp_path / "images.npy").read_bytes() == before


# The stage.


class Learning:
    """A small phantom with hard cases, and what the stage makes of it."""

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
        # The last may be the phantom's own study without T1.
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
        levels = own["level"].to_list()  # nets so little trained may lose levels out of sight
        assert levels == [str(level) for level in LEVELS if str(level) in levels]
        assert (np.diff(own["z_mm"].to_numpy()) < 0).all()
        assert own["confidence"].is_between(0, 1, closed="right").all()


def test_the_stage_leaves_models_and_points_and_nothing_else(learning):
    names = sorted(path.name for path in learning.first.iterdir())
    nets = [
        f"fold-{fold}-{views}.safetensors" for fold in (0, 1) for views in ("axial", "sagittal")
    ]
    assert names == sorted([*nets, "usual.json", *TABLES])
    points = points_of(learning.first)
    assert set(points["split"]) == {"train"}
    assert_in_order(points)


def test_progress_counts_files_folds_and_epochs(learning):
    trained = [event for event in learning.lines if isinstance(event, NetEpochDone)]
    for fold, views in product((0, 1), ("axial", "sagittal")):
        ours = [event for event in trained if (event.fold, event.views) == (fold, views)]
        own, last = [event.epoch for event in ours], ours[0].epochs
        assert own[:last] == list(range(1, last + 1))
    assert 0 in [event.seconds_left for event in trained]
    read = [event for event in learning.lines if isinstance(event, FilesRead)]
    assert read[-1].read == read[-1].files > 0


def test_a_folds_model_never_sees_the_folds_own_annotations(learning):
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
    # Nets so little trained see next to nothing; every test study is placed all the same.
    test = learning.instances.filter(split="test")
    assert set(points["study_id"]) == set(test["study_id"])
    assert sorted(path.name for path in out.iterdir()) == TABLES


def test_levels_lie_in_a_study_about_where_they_lie_in_others(learning, phantom):
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
        assert off.mean() < spread.mean()  # nearer than any one place for all levels


def test_a_folder_without_models_is_refused(tmp_path):
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


def test_a_fold_that_leaves_nothing_to_learn_from_is_refused(tmp_path):
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


def test_annotated_points_of_the_phantom_lie_on_its_answers(learning, phantom):
    points = annotated_points(learning.instances, learning.annotations)
    answers = pl.read_csv(phantom / "answers" / "points.csv")
    both = points.filter(source="annotated").join(answers, on=["study_id", "level"], suffix="_true")
    error = both.select(XYZ).to_numpy() - both.select(f"{axis}_true" for axis in XYZ).to_numpy()
    assert len(both) >= 10
    assert np.median(np.linalg.norm(error, axis=1)) < 3.0
