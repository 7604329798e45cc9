"""The competition's tables: their content, what is found in them, and a line for every error."""

from pathlib import Path

import polars as pl
import pytest

from lsdc.challenges.hemorrhage.competition.tables import (
    Labels,
    asks_for_rows,
    competition_in,
    open_competition,
    read_labels,
    wanted_rows,
)
from lsdc.challenges.hemorrhage.vocabulary import LABELS
from tests.challenges.hemorrhage.competition.small_tables import (
    SAMPLE,
    TABLES,
    TRAIN,
    edit,
    image_rows,
    refusal,
    write,
)
from tests.challenges.hemorrhage.made_images import as_long, make_images, make_labels


def found(root: Path, name: str) -> pl.DataFrame:
    """Return the rows of a finding."""
    [finding] = [each for each in open_competition(root).findings if each.name == name]
    return finding.rows


def append(root: Path, *lines: str) -> None:
    with (root / TRAIN).open("a", encoding="utf-8") as table:
        table.write("\n".join(lines) + "\n")


def test_labels_have_a_row_per_image_in_file_order(root: Path) -> None:
    labels = open_competition(root).labels
    Labels.check(labels)
    assert labels.rows() == [
        ("ID_0000000c3", 0, 0, 0, 0, 0, 0),
        ("ID_0000000a1", 0, 0, 0, 0, 1, 1),
        ("ID_0000000b2", 1, 0, 1, 0, 0, 1),
    ]


def test_rows_in_any_order_give_the_same_labels(tmp_path: Path) -> None:
    labels = make_labels(make_images(6, seed=3), seed=3)
    as_long(labels).sample(fraction=1, shuffle=True, seed=1).write_csv(tmp_path / TRAIN)
    shuffled = read_labels(tmp_path)
    assert shuffled["image_id"].to_list() != labels["image_id"].to_list()
    assert shuffled.sort("image_id").equals(labels.sort("image_id"))


def test_images_to_predict_are_those_of_the_sample_submission_in_its_order(root: Path) -> None:
    competition = open_competition(root)
    assert competition.images.to_list() == ["ID_0000000f0", "ID_0000000e0"]
    expected = [f"ID_0000000{name}0_{label}" for name in "fe" for label in LABELS]
    assert competition.row_ids.to_list() == wanted_rows(root).to_list() == expected


def test_stage_2_is_preferred_to_stage_1(root: Path) -> None:
    stage_1 = root / "stage_1_train.csv"
    (root / TRAIN).rename(stage_1)
    (root / SAMPLE).rename(root / SAMPLE.replace("2", "1"))
    competition = open_competition(root)
    assert (competition.stage, competition.labels.height) == (1, 3)
    assert asks_for_rows(root)
    write(root, TRAIN, "ID,Label", *image_rows("ID_1"))
    competition = open_competition(root)
    assert (competition.stage, competition.labels.height) == (2, 1)
    assert not asks_for_rows(root)  # a sample of stage 1 asks for images that stage 2 has labels of
    (root / TRAIN).unlink()
    write(root, SAMPLE, "ID,Label", *image_rows("ID_1"))
    assert f"{root}: no {TRAIN}; the closest file found is 'stage_1_train.csv'" in refusal(root)


def test_folder_is_recognised_by_any_of_its_tables(root: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert competition_in(tmp_path / "other") is None
    assert competition_in(tmp_path / "nowhere") is None
    competition = competition_in(root)
    assert competition is not None
    assert competition.labels.equals(read_labels(root))


@pytest.mark.parametrize("gone", [True, False])
def test_competition_without_a_sample_submission_is_for_training_only(
    root: Path, gone: bool
) -> None:
    assert asks_for_rows(root)
    (root / SAMPLE).unlink() if gone else write(root, SAMPLE, "ID,Label")
    competition = open_competition(root)
    assert not len(competition.row_ids)
    assert not len(competition.images)
    assert not asks_for_rows(root)


def test_image_listed_twice_is_used_once_and_found(root: Path) -> None:
    before = read_labels(root)
    append(root, *image_rows("ID_0000000a1", subdural=1, any=1))
    assert read_labels(root).equals(before)
    [row] = found(root, "images_listed_twice").rows(named=True)
    assert (row["image_id"], row["subdural"], row["any"], row["listed"]) == (
        *("ID_0000000a1", 1, 1),
        2,
    )
    assert found(root, "images_with_different_labels").is_empty()


def test_image_with_different_labels_is_left_out_and_found(root: Path) -> None:
    append(root, "ID_0000000a1_subdural,0")
    assert read_labels(root)["image_id"].to_list() == ["ID_0000000c3", "ID_0000000b2"]
    assert found(root, "images_with_different_labels").rows() == [("ID_0000000a1", 2)]
    assert found(root, "images_listed_twice").is_empty()


def test_contradiction_between_any_and_subtypes_is_found_and_kept(root: Path) -> None:
    assert found(root, "contradicting_labels").is_empty()
    append(root, *image_rows("ID_1", any=1), *image_rows("ID_2", epidural=1))
    rows = found(root, "contradicting_labels")
    assert rows.select("image_id", "epidural", "any", "why").rows() == [
        ("ID_1", 0, 1, "any without a subtype"),
        ("ID_2", 1, 0, "a subtype without any"),
    ]
    assert read_labels(root).tail(2)["any"].to_list() == [1, 0]


def test_column_order_and_extra_columns_do_not_matter(root: Path) -> None:
    before = read_labels(root)
    table = pl.read_csv(root / TRAIN, infer_schema=False)
    table.select("Label", pl.lit("7").alias("reader"), "ID").write_csv(root / TRAIN)
    assert read_labels(root).equals(before)


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    assert "no such folder" in refusal(tmp_path / "nowhere")


@pytest.mark.parametrize("name", TABLES)
def test_missing_column_suggests_the_closest_name(root: Path, name: str) -> None:
    edit(root, name, "ID,Label", "ID,label")
    message = refusal(root)
    assert f"{root / name}: no column 'Label'; the closest one found is 'label'" in message


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        (TRAIN, "a1_subdural", "a1_subdurall", "ID in line 12 is 'ID_0000000a1_subdurall'"),
        (TRAIN, "a1_subdural", "a1", "line 12 is 'ID_0000000a1', expected an image's id, '_' and"),
        (TRAIN, "ID_0000000a1_any", "_any", "ID in line 13 is '_any'"),
        (TRAIN, "ID_0000000a1_any", "any", "ID in line 13 is 'any', expected"),
        (TRAIN, "ID_0000000a1_any", "", "ID in line 13 is empty, expected"),
        (TRAIN, "a1_any,1", "a1_any,1.0", "Label in line 13 is '1.0', expected 0 or 1"),
        (TRAIN, "a1_any,1", "a1_any,2", "Label in line 13 is '2', expected 0 or 1"),
        (TRAIN, "a1_any,1", "a1_any,", "Label in line 13 is empty, expected 0 or 1"),
        (TRAIN, "_any,1", "_any,nan", "Label in line 13 is 'nan' (and 1 more), expected 0 or 1"),
        (TRAIN, "ID_0000000a1_any,1\n", "", "no row ID_0000000a1_any, expected six rows for each"),
        (TRAIN, "ID_0000000b2_epidural", "ID_9_epidural", "no row ID_9_intraparenchymal (and 5"),
        (SAMPLE, "f0_any", "f0_some", "ID in line 7 is 'ID_0000000f0_some'"),
        (SAMPLE, "f0_any", "f0_subdural", "ID ID_0000000f0_subdural is listed twice, in lines 6"),
        (SAMPLE, "ID_0000000e0_any,0.5\n", "", "no row ID_0000000e0_any, expected six rows"),
    ],
)
def test_invalid_cell_is_named(root: Path, name: str, old: str, new: str, said: str) -> None:
    edit(root, name, old, new)
    message = refusal(root)
    assert message.startswith(f"{root / name}: ")
    assert said in message


def test_line_numbers_in_messages_are_those_of_the_file(root: Path) -> None:
    edit(root, TRAIN, "\nID_0000000a1_any,1", "\n\n\nID_0000000a1_any,7")
    assert "Label in line 15 is '7'" in refusal(root)


def test_table_without_images_is_refused(root: Path) -> None:
    write(root, TRAIN, "ID,Label")
    assert f"{TRAIN}: lists no image, expected six rows for each" in refusal(root)


def test_sample_submission_in_place_of_the_labels_is_refused(root: Path) -> None:
    (root / TRAIN).write_bytes((root / SAMPLE).read_bytes())
    assert "Label in line 2 is '0.5' (and 11 more), expected 0 or 1" in refusal(root)


def test_labels_are_read_without_the_other_table(root: Path) -> None:
    (root / SAMPLE).unlink()
    assert read_labels(root).height == 3


def test_real_tables_are_read_completely(real_data: Path) -> None:
    competition = open_competition(real_data / "hemorrhage")
    assert competition.labels.height == 254
    assert competition.labels.drop("image_id").sum().row(0) == (0, 20, 3, 14, 6, 36)
    assert [finding.count for finding in competition.findings] == [0, 0, 0]
    assert len(competition.images) == 58
    for split, listed in (("test", competition.images), ("train", competition.labels["image_id"])):
        files = (competition.root / f"stage_2_{split}_images").iterdir()
        assert set(listed) == {path.stem for path in files}
