"""Oddities of real data: each is planted where the answers say, or none at all."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from lsdc.challenges.hemorrhage.phantom.study import Order, plan_studies
from lsdc.challenges.hemorrhage.phantom.writer import write_phantom
from tests.challenges.hemorrhage.phantom.written import Headers, position_of, rows_of

Planted = dict[str, list[dict[str, str]]]


@pytest.fixture(scope="module")
def planted(head_phantom: Path) -> Planted:
    found: Planted = defaultdict(list)
    for row in rows_of(head_phantom / "answers/quirks.csv"):
        found[row["quirk"]].append(row)
    return found


@pytest.fixture(scope="module")
def by_id(files: Headers) -> dict:
    return {item.SOPInstanceUID: item for datasets in files.values() for item in datasets}


def test_every_oddity_is_listed(planted: Planted) -> None:
    assert set(planted) == {
        "12-bit unsigned, intercept -1000",
        "12-bit signed, flagged unsigned with intercept 0",
        "two images at one position",
        "other rows and columns",
        "short PixelData",
        "second study of a patient",
        "nearly empty",
        "starts at the teeth",
        "half the step below",
        "listed twice",
    }


def test_pairs_of_different_images_share_a_position(planted: Planted, by_id: dict) -> None:
    places = defaultdict(list)
    for row in planted["two images at one position"]:
        places[tuple(position_of(by_id[row["image_id"]]))].append(by_id[row["image_id"]])
    assert len(places) >= 3
    for pair in places.values():
        first, second = (item.pixel_array for item in pair)
        assert not np.array_equal(first, second)


def test_an_image_of_odd_size_shows_the_same_head_at_the_same_place(
    planted: Planted, by_id: dict, files: Headers
) -> None:
    (row,) = planted["other rows and columns"]
    odd = by_id[row["image_id"]]
    assert (odd.Rows, odd.Columns) == (80, 61)
    others = [item for item in files[row["study_id"]] if item.Rows == 64]
    nearest = min(others, key=lambda item: abs(position_of(item)[2] - position_of(odd)[2]))
    middles = []
    for item in (odd, nearest):
        # The skull's outline in LPS.
        y_px, x_px = np.nonzero(item.pixel_array + float(item.RescaleIntercept) > 250)
        spacing = float(item.PixelSpacing[0])
        direction = np.array(item.ImageOrientationPatient, dtype=float)
        x, y = (float((px.min() + px.max()) / 2) * spacing for px in (x_px, y_px))
        middles.append(position_of(item) + x * direction[:3] + y * direction[3:])
    assert middles[0][:2] == pytest.approx(middles[1][:2], abs=2 * float(odd.PixelSpacing[0]))


def test_one_file_has_less_pixel_data_than_its_rows_and_columns_need(
    planted: Planted, by_id: dict
) -> None:
    (row,) = planted["short PixelData"]
    short = [
        image for image, item in by_id.items() if len(item.PixelData) < item.Rows * item.Columns * 2
    ]
    assert short == [row["image_id"]]


def test_the_short_and_the_empty_image_have_no_bleeding(
    planted: Planted, head_phantom: Path
) -> None:
    labels = {row["image_id"]: row["any"] for row in rows_of(head_phantom / "answers/labels.csv")}
    for quirk in ("short PixelData", "nearly empty"):
        assert labels[planted[quirk][0]["image_id"]] == "0"


def test_a_nearly_empty_image_has_only_air(planted: Planted, by_id: dict) -> None:
    item = by_id[planted["nearly empty"][0]["image_id"]]
    assert item.pixel_array.max() + float(item.RescaleIntercept) < -900


def test_two_studies_are_of_one_patient_and_no_others(files: Headers, planted: Planted) -> None:
    patients = defaultdict(set)
    for study, datasets in files.items():
        patients[{item.PatientID for item in datasets}.pop()].add(study)
    shared = [studies for studies in patients.values() if len(studies) > 1]
    assert len(shared) == 1
    assert planted["second study of a patient"][0]["study_id"] in shared[0]


def test_the_lower_slices_of_a_study_have_half_the_step(planted: Planted, files: Headers) -> None:
    study = planted["half the step below"][0]["study_id"]
    z = sorted(position_of(item)[2] for item in files[study])
    steps = np.diff(z)
    assert steps[0] == pytest.approx(steps[-1] / 2, rel=0.01)


def test_wrapped_numbers_make_air_dense_and_bone_right(planted: Planted, files: Headers) -> None:
    study = planted["12-bit signed, flagged unsigned with intercept 0"][0]["study_id"]
    for item in files[study]:
        assert (item.BitsStored, item.PixelRepresentation) == (12, 0)
        assert float(item.RescaleIntercept) == 0
        stored = item.pixel_array
        assert 3000 < np.median(stored) < 3200  # air
        assert stored.max() < 4096


def test_without_quirks_all_studies_are_regular(tmp_path: Path) -> None:
    order = Order(studies=10, test=0, seed=3, size=64, quirks=False)
    records = plan_studies(order)
    assert len({record.patient_id for record in records}) == 10
    assert {record.storage.value for record in records} == {"16-bit signed", "12-bit unsigned"}
    small = Order(studies=2, test=0, seed=3, size=32, fewest_slices=6, most_slices=6, quirks=False)
    write_phantom(tmp_path / "p", small)
    assert rows_of(tmp_path / "p/answers/quirks.csv") == []
    assert len(rows_of(tmp_path / "p/stage_2_train.csv")) == 2 * 6 * 6
