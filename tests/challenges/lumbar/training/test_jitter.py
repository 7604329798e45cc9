"""Errors of points, drawn as movements of windows and slices."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian

from lsdc.challenges.lumbar.annotations.patient_space import planes_of
from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.challenges.lumbar.coordinates.errors import PointErrors
from lsdc.challenges.lumbar.crops.frames import frame_table
from lsdc.challenges.lumbar.slices.slots import Part, list_places, list_stored
from lsdc.challenges.lumbar.training.jitter import LARGEST_MM, PointJitter
from lsdc.challenges.lumbar.training.mirror import mirror
from lsdc.challenges.lumbar.training.samples import as_samples, read_table
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, Condition
from lsdc.errors import DataError
from tests.challenges.lumbar.crops.cutting import cut_crops

PIXEL_MM = (0.5, 0.75)  # width and height
ROOM = ["crops.margin=1", "crops.size_px=64", "slices.spare_slices=4"]


def experiment_of(*settings: str) -> Any:
    return EXPERIMENTS.load("baseline", [*ROOM, *settings])


def write_errors(folder: Path, errors: dict[Condition, list[tuple[float, ...]]]) -> None:
    """Write planted errors (x, y, z in mm; sagittal, axial in slices), one a study from 1 on."""
    rows = [
        (study, str(condition), "l4_l5", *error)
        for condition, own in errors.items()
        for study, error in enumerate(own, start=1)
    ]
    table = pl.DataFrame(rows, schema=pl.Schema(PointErrors), orient="row")
    table.write_parquet(folder / "errors.parquet")


def jitter_of(
    experiment: Any, folder: Path, *, samples: int = 1, of_right: bool = False, studies: int = 99
) -> PointJitter:
    """Return the jitter of samples with a slice of PIXEL_MM in each stored slot."""
    stored = len(list_stored(experiment.slices))
    sizes = np.broadcast_to(np.float32(PIXEL_MM), (samples, stored, 2))
    table = frame_table(np.ones((samples, stored), dtype=bool), np.array(sizes))
    table.write_parquet(folder / "frames.parquet")
    return PointJitter(
        experiment,
        folder,
        rows=np.arange(samples),
        of_right=np.full(samples, of_right),
        studies=pl.Series(range(1, studies + 1)),
    )


def draws(jitter: PointJitter, count: int) -> np.ndarray:
    """Return (count, 3, slots): along, down and right."""
    return np.stack([np.stack(jitter(0, seed)) for seed in range(count)])


def slots_of(experiment: Any, *parts: Part) -> np.ndarray:
    places = list_places(experiment.slices)
    return np.array([number for number, place in enumerate(places) if place.part in parts])


SAGITTAL = (Part.LEFT, Part.MIDDLE, Part.RIGHT)


def test_number_is_the_standard_deviation_in_mm_and_in_slices(tmp_path: Path) -> None:
    experiment = experiment_of("augment.point_mm=3", "augment.point_slices=1.2")
    found = draws(jitter_of(experiment, tmp_path), 4000)
    sagittal, axial = (slots_of(experiment, *parts)[0] for parts in (SAGITTAL, [Part.AXIAL]))
    for slot in (sagittal, axial):
        along, down, right = found[:, :, slot].T
        assert np.std(right * PIXEL_MM[0]) == pytest.approx(3, rel=0.05)
        assert np.std(down * PIXEL_MM[1]) == pytest.approx(3, rel=0.05)
        assert np.std(along) == pytest.approx(np.hypot(1.2, 1 / 12**0.5), rel=0.06)
        assert np.abs(np.corrcoef(right, down)[0, 1]) < 0.06
        assert np.abs([each.mean() for each in (along, down, right)]).max() < 0.3


def test_windows_on_one_point_move_together(tmp_path: Path) -> None:
    """Level points: sagittal windows move along y and z, axial ones along x and y."""
    experiment = experiment_of("augment.point_mm=4", "augment.point_slices=1")
    sagittal, axial = slots_of(experiment, *SAGITTAL), slots_of(experiment, Part.AXIAL)
    for along, down, right in draws(jitter_of(experiment, tmp_path), 50):
        for own in (sagittal, axial):
            assert len(set(down[own])) == len(set(right[own])) == len(set(along[own])) == 1
        back_mm = right[sagittal[0]] * PIXEL_MM[0], down[axial[0]] * PIXEL_MM[1]
        assert abs(back_mm[0] - back_mm[1]) <= sum(PIXEL_MM) / 2


def test_moves_stay_within_margins_and_spare_slices(tmp_path: Path) -> None:
    narrow = ["crops.margin=0.1", "slices.spare_slices=1"]
    experiment = experiment_of(*narrow, "augment.point_mm=30", "augment.point_slices=5")
    along, down, right = np.abs(draws(jitter_of(experiment, tmp_path), 100)).max(axis=(0, 2))
    assert (along, down, right) == (1, *experiment.crops.margins)


PLANTED = [(0.0, 0.0, 0.0, 0.0, 0.0)] * 6 + [(4.0, 2.0, -3.0, 1.0, -1.0)] * 3
PLANTED += [(-2.0, -5.0, 6.0, -2.0, 2.0)]


def test_measured_errors_are_drawn_as_often_as_they_were_measured(tmp_path: Path) -> None:
    write_errors(tmp_path, dict.fromkeys(CONDITIONS, PLANTED))
    experiment = experiment_of("augment.point_mm=measured", "augment.point_slices=measured")
    found = draws(jitter_of(experiment, tmp_path), 3000)
    sagittal, axial = (slots_of(experiment, *parts)[0] for parts in (SAGITTAL, [Part.AXIAL]))
    for slot, column in ((sagittal, 3), (axial, 4)):
        shifts, counts = np.unique(found[:, 0, slot], return_counts=True)
        expected = {0: 0.6, -PLANTED[6][column]: 0.3, -PLANTED[9][column]: 0.1}
        assert dict(zip(shifts.tolist(), counts / 3000, strict=True)) == pytest.approx(
            expected, abs=0.04
        )
    moves, counts = np.unique(found[:, 1:, sagittal], axis=0, return_counts=True)
    # Down is towards the feet, right towards the back: (-z, y).
    expected_moves = {
        (round(-PLANTED[n][2] / PIXEL_MM[1]), round(PLANTED[n][1] / PIXEL_MM[0])): share
        for n, share in ((0, 0.6), (6, 0.3), (9, 0.1))
    }
    assert {tuple(move): n / 3000 for move, n in zip(moves.tolist(), counts, strict=True)} == (
        pytest.approx(expected_moves, abs=0.04)
    )


def test_a_fraction_of_a_slice_moves_with_that_probability(tmp_path: Path) -> None:
    write_errors(tmp_path, {key: [(1.0, 0.0, 0.0, 0.25, -1.5)] for key in CONDITIONS})
    experiment = experiment_of("augment.point_slices=measured")
    found = draws(jitter_of(experiment, tmp_path), 2000)[:, 0]
    sagittal, axial = (slots_of(experiment, *parts)[0] for parts in (SAGITTAL, [Part.AXIAL]))
    assert np.mean(found[:, sagittal] == -1) == pytest.approx(0.25, abs=0.04)
    assert np.mean(found[:, sagittal] == 0) == pytest.approx(0.75, abs=0.04)
    assert np.mean(found[:, axial] == 1) == pytest.approx(0.5, abs=0.04)
    assert not draws(jitter_of(experiment, tmp_path), 20)[:, 1:].any()


def test_errors_of_the_fold_itself_and_gross_ones_are_not_drawn(tmp_path: Path) -> None:
    gross = (0.0, 0.0, LARGEST_MM + 1, 0.0, 3.0)
    write_errors(tmp_path, {key: [PLANTED[6], gross, PLANTED[9]] for key in CONDITIONS})
    experiment = experiment_of("augment.point_slices=measured")
    found = draws(jitter_of(experiment, tmp_path, studies=2), 100)[:, 0]
    assert (found[:, slots_of(experiment, Part.AXIAL)] == 1).all()
    with pytest.raises(DataError, match="no spinal_canal_stenosis of the training folds"):
        jitter_of(experiment, tmp_path, studies=0)


def test_windows_and_slices_follow_the_points_that_place_them(tmp_path: Path) -> None:
    still = {condition: [(0.0,) * 5] for condition in CONDITIONS}
    moved = (0.0, 3.0, 0.0, 1.0, 0.0)
    write_errors(tmp_path, still | {Condition.LEFT_NEURAL_FORAMINAL_NARROWING: [moved]})
    both = ["augment.point_mm=measured", "augment.point_slices=measured"]
    experiment = experiment_of(*both, "crops.sagittal_centre=landmark", "slices.sagittal=landmark")
    along, _, right = jitter_of(experiment, tmp_path)(0, 7)
    left = slots_of(experiment, Part.LEFT)
    assert np.flatnonzero(along).tolist() == np.flatnonzero(right).tolist() == left.tolist()
    # A sample of the right side shows that side as the left one.
    along, _, right = jitter_of(experiment, tmp_path, of_right=True)(0, 7)
    right_side = slots_of(experiment, Part.RIGHT)
    assert np.flatnonzero(right).tolist() == right_side.tolist()
    assert (along[right_side] == 1).all()  # mirrored: towards the other end
    fixed = experiment_of(*both, "crops.sagittal_centre=image", "slices.origin=scan")
    along, _, right = jitter_of(fixed, tmp_path)(0, 7)
    assert not along[slots_of(fixed, *SAGITTAL)].any()
    assert not right[slots_of(fixed, *SAGITTAL)].any()


FIELD = np.array([2.0, 3.0, -5.0])  # change of brightness per mm along x, y and z


@pytest.fixture(scope="module")
def field(walked, tmp_path_factory: pytest.TempPathFactory) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Write the images of a study whose brightness is a linear function of the position in mm."""
    folder = tmp_path_factory.mktemp("field")
    slices = walked.table("slices")
    counts = slices.group_by("study_id").agg(pl.col("series_description").n_unique())
    study = counts.filter(series_description=3)["study_id"].min()
    instances = walked.table("instances").filter(study_id=study)
    paths = []
    for number, plane in enumerate(instances.iter_slices(1)):
        dataset = pydicom.dcmread(plane["path"][0])
        y_px, x_px = np.mgrid[: dataset.Rows, : dataset.Columns].astype(float)
        places = planes_of(plane).to_mm(np.stack([x_px, y_px], axis=-1)[None])[0]
        values = np.rint(30000 + 10 * (places @ FIELD)).astype(np.uint16)
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation = 15, 0
        dataset.PhotometricInterpretation = "MONOCHROME2"
        for tag in ("RescaleSlope", "RescaleIntercept"):
            if tag in dataset:
                del dataset[tag]
        dataset.PixelData = values.tobytes()
        paths.append(str(folder / f"{number}.dcm"))
        dataset.save_as(paths[-1])
    return instances.with_columns(path=pl.Series(paths)), slices.filter(study_id=study)


def planted_samples(field: Any, folder: Path, experiment: Any, error: tuple[float, ...]) -> Any:
    """Return the samples of the field's study, and the jitter by one planted error."""
    cut_crops(*field, experiment.slices, experiment.crops, folder)
    write_errors(folder, {key: [error] for key in CONDITIONS})
    table = read_table(folder, "train")
    samples = as_samples(folder, table)
    jitter = PointJitter(
        experiment,
        folder,
        rows=samples.rows,
        of_right=table["side"].eq_missing("right").to_numpy(),
        studies=pl.Series([1]),
    )
    return samples, jitter


WINDOWS = [
    *("crops.dtype=uint16", "crops.sagittal_window_mm=[30,40]", "crops.axial_window_mm=[30,40]"),
    *("crops.size_px=48", "crops.margin=0.5", "slices.spare_slices=1"),
    *("augment.point_mm=measured", "augment.point_slices=measured"),
]


@pytest.mark.parametrize("error", [(0.0, 4.0, 0.0), (3.0, 0.0, 0.0), (0.0, 0.0, -5.0)])
def test_a_window_drawn_with_an_error_shows_what_lies_there(
    field: Any, tmp_path: Path, error: tuple[float, float, float]
) -> None:
    """Its brightness changes as that of the field over the error, in each slice's plane."""
    experiment = experiment_of(*WINDOWS)
    samples, jitter = planted_samples(field, tmp_path, experiment, (*error, 0.0, 0.0))
    assert samples.frame is not None
    axial = np.isin(np.arange(experiment.slices.count), slots_of(experiment, Part.AXIAL))
    x, y, z = error
    for place in range(len(samples)):
        still, move = samples[place], jitter(place, 1)
        slices, present = samples.frame.show(samples.slices[place], still.present, place, move)
        assert np.array_equal(present, still.present)
        before, after = still.slices.astype(float), slices.astype(float) / (2**16 - 1)
        # Brightness per mm of this series' scale, from the crop itself.
        pixel_mm = 40 / 48
        to_right = np.diff(before, axis=2).mean(axis=(1, 2)) / pixel_mm
        to_down = np.diff(before, axis=1).mean(axis=(1, 2)) / pixel_mm
        right_mm, down_mm = np.where(axial, [[x], [y]], [[y], [-z]])
        found = (after - before).mean(axis=(1, 2))
        wanted = to_right * right_mm + to_down * down_mm
        inside = present & (before.min(axis=(1, 2)) > 0.02) & (before.max(axis=(1, 2)) < 0.98)
        most = (np.abs(to_right) + np.abs(to_down)) * pixel_mm / 2 + 2e-3
        assert (np.abs(found - wanted)[inside] <= most[inside]).all()
        assert inside.sum() > 3
        # The field's own direction: y and z for sagittal slices, x and y for axial ones.
        for own, per_mm in ((~axial, (FIELD[1], -FIELD[2])), (axial, (FIELD[0], FIELD[1]))):
            assert (np.sign(to_right[own & inside]) == np.sign(per_mm[0])).all()
            assert (np.sign(to_down[own & inside]) == np.sign(per_mm[1])).all()


def test_errors_of_a_sample_by_side_are_those_of_the_whole_one(field: Any, tmp_path: Path) -> None:
    """Mirroring and moving commute: a right sample is the mirror image of the moved whole one."""
    whole, sided = (experiment_of(*WINDOWS, f"crops.by_side={way}") for way in ("false", "true"))
    error = (3.0, 2.0, -2.0, 1.0, -1.0)
    samples, jitter = planted_samples(field, tmp_path / "whole", whole, error)
    others, mirrored_jitter = planted_samples(field, tmp_path / "sided", sided, error)
    assert samples.frame is not None
    assert others.frame is not None
    for place in range(len(samples)):
        both = [(samples, jitter, place)]
        both += [(others, mirrored_jitter, 2 * place + side) for side in (0, 1)]
        shown = [
            each[at]._replace(
                **dict(
                    zip(
                        ("slices", "present"),
                        each.frame.show(each.slices[at], each.present[at], at, draw(at, 5)),
                        strict=True,
                    )
                )
            )
            for each, draw, at in both
        ]
        moved, left, right = shown
        assert np.array_equal(left.slices, moved.slices)
        in_mirror = mirror(moved, whole.slices)
        assert np.array_equal(right.present, in_mirror.present)
        apart = right.slices.astype(int) - in_mirror.slices
        assert np.abs(apart).max() <= 64  # of 65,535: resampled in the opposite direction
        assert not np.array_equal(moved.present, samples[place].present) or moved.present.any()
