"""Ids and numbers: from the layout or from headers, which may contradict each other."""

import random
import shutil
from pathlib import Path

import polars as pl
import pydicom
import pytest

from lsdc.challenges.lumbar.competition.tables import open_competition
from tests.dicom_index.indexing import index, some_series, write_slice


def test_without_tables_and_layout_ids_come_from_headers(copy: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    _, expected = index(copy, tmp_path / "expected", listing=open_competition(copy))
    paths = expected["instances"]["path"].to_list()
    for n, path in enumerate(random.Random(0).sample(paths, len(paths))):
        shutil.copy(path, flat / f"IM{n:05d}")
    _, tables = index(flat, tmp_path / "out")
    instances = tables["instances"]
    assert instances["split"].null_count() == len(instances)
    assert not instances["id_mismatch"].any()
    assert instances["study_id"].equals(instances["header_study_id"], check_names=False)
    assert instances["series_id"].equals(instances["header_series_id"], check_names=False)
    # The same files give the same series, with other ids.
    what = ["images", "orientation_groups", "plane", "order", "slice_spacing_mm", "extent_mm"]
    usable = expected["series"].filter(pl.col("images") > 0)
    assert tables["series"].select(what).sort(what).equals(usable.select(what).sort(what))
    images = expected["studies"].filter("usable").select("images", "series").sort(pl.all())
    assert tables["studies"].select("images", "series").sort(pl.all()).equals(images)


def test_files_without_ids_belong_to_their_folder(tree: Path, tmp_path: Path) -> None:
    for folder in "ab":
        for n in range(3):
            write_slice(tree / folder / f"{n}", number=n, position=(0, 0, n), study="", series="")
    _, tables = index(tree, tmp_path / "out")
    assert tables["series"]["images"].to_list() == [3, 3]
    assert tables["studies"]["images"].to_list() == [3, 3]


def test_repeated_instance_numbers_outside_the_layout_are_kept(tree: Path, tmp_path: Path) -> None:
    for n in range(4):
        write_slice(tree / f"{n}", number=n // 2, position=(0, 0, n))
    _, tables = index(tree, tmp_path / "out")
    assert tables["instances"]["instance_number"].to_list() == [0, 0, 1, 1]


@pytest.fixture
def layout(tree: Path) -> Path:
    """Return one series in the competition's layout, with headers that agree with it."""
    for n in range(1, 5):
        where = tree / f"train_images/100/200/{n}.dcm"
        write_slice(where, number=n, position=(0, 0, n), study="100", series="100.200")
    return tree


def mismatched(tree: Path, tmp_path: Path) -> list[str]:
    _, tables = index(tree, tmp_path / "out")
    bad = tables["instances"].filter("id_mismatch")
    assert tables["series"]["id_mismatches"].sum() == len(bad)
    return [path.removeprefix(f"{tree}/train_images/") for path in bad["path"]]


def test_files_that_agree_with_their_path_are_no_mismatch(layout: Path, tmp_path: Path) -> None:
    assert mismatched(layout, tmp_path) == []


def test_file_of_another_series_is_a_mismatch(layout: Path, tmp_path: Path) -> None:
    place = layout / "train_images/100/200"
    write_slice(place / "5.dcm", number=5, position=(0, 0, 5), study="100", series="100.201")
    write_slice(place / "6.dcm", number=6, position=(0, 0, 6), study="101", series="101.200")
    assert mismatched(layout, tmp_path) == ["100/200/5.dcm", "100/200/6.dcm"]


def test_file_with_another_instance_number_is_a_mismatch(layout: Path, tmp_path: Path) -> None:
    place = layout / "train_images/100/200"
    (place / "4.dcm").rename(place / "7.dcm")
    assert mismatched(layout, tmp_path) == ["100/200/7.dcm"]


def test_phantom_file_in_the_wrong_folder_is_a_mismatch(copy: Path, tmp_path: Path) -> None:
    """Its UIDs are not ids of the layout, but differ from those of most files in the folder."""
    one, other = some_series(copy, 0), some_series(copy, 1)
    shutil.copy(other / "3.dcm", one / "3.dcm")
    renumbered = one / "905.dcm"
    (one / "5.dcm").rename(renumbered)
    images = copy / "train_images"
    found = [str(path.relative_to(images)) for path in (one / "3.dcm", renumbered)]
    assert mismatched(copy, tmp_path) == found


def test_slices_without_a_number_are_numbered_along_the_normal(tree: Path, tmp_path: Path) -> None:
    places = [9.0, 3.0, 6.0, 0.0]
    for name, z in enumerate(places):
        write_slice(tree / f"{name}", number=None, position=(0, 0, z))
    rows = index(tree, tmp_path / "none")[1]["instances"]
    by_number = rows.sort("instance_number")
    assert by_number["instance_number"].to_list() == [1, 2, 3, 4]
    assert by_number["normal_position_mm"].to_list() == sorted(places)
    write_slice(tree / "numbered", number=40, position=(0, 0, 12.0))
    rows = index(tree, tmp_path / "some")[1]["instances"]
    numbers = dict(rows.select("normal_position_mm", "instance_number").iter_rows())
    assert numbers == {0.0: 41, 3.0: 42, 6.0: 43, 9.0: 44, 12.0: 40}


def test_files_of_a_listed_series_need_no_number_in_header_or_name(
    copy: Path, tmp_path: Path
) -> None:
    folder = some_series(copy)
    competition = open_competition(copy)
    _, before = index(copy, tmp_path / "before", listing=competition)
    paths = sorted(folder.iterdir(), key=lambda path: int(path.stem))[-3:]
    for path in paths:
        dataset = pydicom.dcmread(path)
        del dataset.InstanceNumber
        dataset.save_as(path.with_name(f"IM{path.name}"))
        path.unlink()
    _, after = index(copy, tmp_path / "after", listing=competition)
    assert after["quarantine"].equals(before["quarantine"])
    own = pl.col("path").str.starts_with(f"{folder}/")
    numbers = [
        tables["instances"].filter(own)["instance_number"].to_list() for tables in (before, after)
    ]
    assert numbers[0] == sorted(numbers[1])


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_made_up_ids_tell_studies_of_one_folder_apart(tree: Path, tmp_path: Path) -> None:
    for number in range(4):
        one = f"ID_{number % 2:010x}"
        write_slice(tree / f"{number}.dcm", study=one, series=one, position=(0, 0, number))
    _, tables = index(tree, tmp_path / "out")
    assert tables["studies"]["images"].to_list() == [2, 2]
    assert tables["instances"]["study_id"].equals(tables["instances"]["header_study_id"])
