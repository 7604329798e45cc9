"""Folders: names of both stages, nested folders, and parts that stay as files are added."""

import logging
from pathlib import Path

import pytest

from lsdc.challenges.hemorrhage.index.folders import find_folders, list_files
from lsdc.errors import DataError

FIRST = ("stage_1_train_images", "stage_1_test_images")
SECOND = ("stage_2_train_images", "stage_2_test_images")


def make(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).mkdir(parents=True)
    return root


def names(root: Path, **options: int) -> dict[str, list[str]]:
    found = find_folders(root, **options)  # type: ignore[arg-type]
    return {split: [folder.name for folder in own] for split, own in found.items()}


@pytest.mark.parametrize(
    "pair", [FIRST, SECOND, ("stage_2_train", "stage_2_test"), ("STAGE_1_TRAIN", "Stage_1_Test")]
)
def test_folders_of_either_stage_are_found(tmp_path: Path, pair: tuple[str, str]) -> None:
    assert names(make(tmp_path, *pair, "oof", "stage_3_train")) == {
        "train": [pair[0]],
        "test": [pair[1]],
    }


def test_folders_are_found_one_folder_deeper(tmp_path: Path) -> None:
    make(tmp_path, "unpacked/stage_2_train", "other/stage_2_test")
    assert names(tmp_path) == {"train": ["stage_2_train"], "test": ["stage_2_test"]}


def test_both_sets_of_the_first_stage_train_the_second(tmp_path: Path) -> None:
    make(tmp_path, *FIRST, SECOND[1])
    assert names(tmp_path) == {"train": [*FIRST], "test": [SECOND[1]]}
    assert names(tmp_path, stage=1) == {"train": [FIRST[0]], "test": [FIRST[1]]}


def test_images_of_the_first_stage_are_not_read_twice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path, *FIRST, *SECOND)
    with caplog.at_level(logging.WARNING):
        assert names(tmp_path) == {"train": [SECOND[0]], "test": [SECOND[1]]}
    assert caplog.text.count("is not read") == 2


def test_tables_of_the_second_stage_make_a_test_image_of_the_first_a_training_image(
    tmp_path: Path,
) -> None:
    make(tmp_path, *FIRST)
    assert names(tmp_path, stage=2) == {"train": [*FIRST], "test": []}


def test_no_folder_is_an_error_that_names_the_expected_ones(tmp_path: Path) -> None:
    make(tmp_path, "train_images")
    with pytest.raises(DataError, match="expected stage_2_train_images and stage_2_test_images"):
        find_folders(tmp_path)


def touch(folder: Path, *files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in files:
        (folder / name).touch()


def test_name_without_extension_is_the_image(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "b", "ID_0a1b2c3d4.dcm", "1.2.840.7", "12", "IM1.IMA", "1.2.3.dcm")
    files = list_files({"train": [tmp_path]})
    assert sorted(files["image_id"]) == ["1.2.3", "1.2.840.7", "12", "ID_0a1b2c3d4", "IM1"]
    assert set(files["split"]) == {"train"}
    assert files["bytes"].to_list() == [0] * 5


def test_parts_are_about_the_size_of_a_study(tmp_path: Path) -> None:
    touch(tmp_path / "one", *(f"ID_{n:09x}.dcm" for n in range(64)))
    assert set(list_files({"test": [tmp_path / "one"]})["part"]) == {0}
    touch(tmp_path / "many", *(f"ID_{n:09x}.dcm" for n in range(1000)))
    parts = list_files({"test": [tmp_path / "many"]}).group_by("part").len()
    assert len(parts) == 16
    assert parts["len"].max() < 2 * 64  # type: ignore[operator]


def test_new_file_changes_one_part(tmp_path: Path) -> None:
    touch(tmp_path, *(f"ID_{n:09x}.dcm" for n in range(700)))
    before = list_files({"train": [tmp_path]})
    touch(tmp_path, "ID_fffffffff.dcm")
    after = list_files({"train": [tmp_path]})
    new = after.filter(image_id="ID_fffffffff")
    assert after.join(new, on="path", how="anti").equals(before)


def test_two_files_of_one_image_are_in_one_part(tmp_path: Path) -> None:
    touch(tmp_path / "x", *(f"ID_{n:09x}.dcm" for n in range(200)))
    touch(tmp_path / "y", *(f"ID_{n:09x}.DCM" for n in range(200)))
    files = list_files({"train": [tmp_path / "x", tmp_path / "y"]})
    assert files["parts"][0] == 8
    counts = files.group_by("image_id").n_unique()
    assert set(counts["part"]) == {1}
    assert set(counts["path"]) == {2}
