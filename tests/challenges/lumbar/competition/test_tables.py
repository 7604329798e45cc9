"""The competition's tables: their content, and one line for every error."""

import os
from pathlib import Path

import polars as pl
import pytest

from lsdc.challenges.lumbar.competition.tables import asks_for_rows, open_competition, read_labels
from lsdc.challenges.lumbar.quality.doctor import examine
from tests.challenges.lumbar.competition.small_tables import CELLS, TABLES, edit, refusal, write


def test_labels_have_25_rows_per_study_in_file_order(root: Path) -> None:
    labels = open_competition(root).labels
    assert labels.schema == {
        "study_id": pl.Int64,
        "condition": pl.String,
        "level": pl.String,
        "grade": pl.Int8,
    }
    assert labels["study_id"].to_list() == [22] * 25 + [11] * 25
    assert labels.head(25).select(
        pl.format("{}_{}", "condition", "level")
    ).to_series().to_list() == (CELLS)
    graded = {(study, f"{c}_{lv}"): grade for study, c, lv, grade in labels.iter_rows()}
    assert graded[22, "spinal_canal_stenosis_l4_l5"] == 2
    assert graded[11, "spinal_canal_stenosis_l1_l2"] == 1
    assert graded[11, "spinal_canal_stenosis_l4_l5"] == 0
    assert graded[11, "right_subarticular_stenosis_l1_l2"] is None


def test_annotations_use_the_vocabulary_and_pixels(root: Path) -> None:
    rows = open_competition(root).annotations.rows()
    assert rows == [
        (22, 221, 8, "spinal_canal_stenosis", "l4_l5", 322.83, 227.96),
        (11, 110, 3, "left_subarticular_stenosis", "l5_s1", 10.0, 20.5),
    ]


def test_series_and_row_ids_are_read(root: Path) -> None:
    competition = open_competition(root)
    assert competition.series.rows()[2:] == [
        ("train", 11, 110, "Axial T2"),
        ("test", 33, 330, "Axial T2"),
    ]
    assert competition.row_ids == (
        "33_spinal_canal_stenosis_l2_l3",
        "33_left_neural_foraminal_narrowing_l1_l2",
    )


def test_column_order_and_extra_columns_do_not_matter(root: Path) -> None:
    before = open_competition(root).labels
    table = pl.read_csv(root / "train.csv", infer_schema=False)
    table.select(pl.lit("1").alias("fold_id"), *reversed(table.columns)).write_csv(
        root / "train.csv"
    )
    assert open_competition(root).labels.equals(before)


@pytest.mark.parametrize("gone", [True, False])
def test_training_only_competition_has_an_empty_test_split(root: Path, gone: bool) -> None:
    assert asks_for_rows(root)
    for name in ("test_series_descriptions.csv", "sample_submission.csv"):
        head, *_ = (root / name).read_text().splitlines(keepends=True)
        (root / name).unlink() if gone else (root / name).write_text(head)
    competition = open_competition(root)
    assert competition.series["split"].unique().to_list() == ["train"]
    assert competition.row_ids == ()
    assert not asks_for_rows(root)


@pytest.mark.parametrize("name", TABLES)
def test_missing_table_is_named(root: Path, name: str) -> None:
    (root / name).unlink()
    assert f"{root}: no {name}" in refusal(root)


def test_misspelled_file_name_is_suggested(root: Path) -> None:
    (root / "train_label_coordinates.csv").rename(root / "train_label_coordinate.csv")
    assert "closest file found is 'train_label_coordinate.csv'" in refusal(root)


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    assert "no such folder" in refusal(tmp_path / "nowhere")


def test_missing_column_suggests_the_closest_name(root: Path) -> None:
    edit(root, "train.csv", "spinal_canal_stenosis_l3_l4", "spinal_canal_stenosis_L3_L4")
    message = refusal(root)
    assert "train.csv: no column 'spinal_canal_stenosis_l3_l4'" in message
    assert "'spinal_canal_stenosis_L3_L4'" in message


def test_missing_column_lists_the_existing_columns(root: Path) -> None:
    edit(root, "train_label_coordinates.csv", "x,y", "p,q")
    message = refusal(root)
    assert "no column 'x' (nor 1 more of those expected)" in message
    assert "p, q" in message


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("train.csv", "\n11,", "\n11.0,", "study_id in line 3 is '11.0', expected a whole number"),
        ("train.csv", "\n11,", "\n,", "study_id in line 3 is empty"),
        ("train.csv", "\n11,", "\n22,", "study_id 22 is listed twice"),
        ("train.csv", "Severe", "Sever", "spinal_canal_stenosis_l4_l5 of study 22 is 'Sever'"),
        (
            "train_series_descriptions.csv",
            "Axial T2",
            "Axial",
            "in line 4 is 'Axial', expected one",
        ),
        (
            "train_series_descriptions.csv",
            "22,221",
            "22,220",
            "study_id 22, series_id 220 is listed",
        ),
        ("train_label_coordinates.csv", "L5/S1", "l5_s1", "level in line 3 is 'l5_s1'"),
        ("train_label_coordinates.csv", "Spinal Canal", "Canal", "condition in line 2 is 'Canal"),
        ("train_label_coordinates.csv", "20.5", "nan", "y in line 3 is 'nan', expected a finite"),
        ("train_label_coordinates.csv", "20.5", "low", "y in line 3 is 'low', expected a finite"),
        ("train_label_coordinates.csv", "221,8,", "221,8.5,", "instance_number in line 2 is '8.5'"),
        ("sample_submission.csv", "l2_l3", "l2_l9", "(33_spinal_canal_stenosis_l2_l9)"),
        ("sample_submission.csv", "33_spinal", "x_spinal", "(x_spinal_canal_stenosis_l2_l3)"),
        (
            "sample_submission.csv",
            "33_left_neural_foraminal_narrowing_l1_l2",
            "33_spinal_canal_stenosis_l2_l3",
            "listed twice",
        ),
    ],
)
def test_invalid_cell_is_named(root: Path, name: str, old: str, new: str, said: str) -> None:
    edit(root, name, old, new)
    message = refusal(root)
    assert f"{root / name}: " in message
    assert said in message


def test_ids_keep_the_spelling_of_the_tables_in_messages(root: Path) -> None:
    edit(root, "train_series_descriptions.csv", "11,110", "0011,00110")
    edit(root, "test_series_descriptions.csv", "33,330", "033,330")
    competition = open_competition(root)
    assert competition.series["study_id"].to_list() == [22, 22, 11, 33]
    spelled = [competition.spell(each) for each in (22, 11, 110, 33, 330)]
    assert spelled == ["22", "0011", "00110", "033", "330"]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("33,331,Sagital T1", "series_description is not one of"),
        ("33,331,", "series_description is not one of"),
        ("33,x,Axial T2", "series_id is 'x', expected a whole number"),
        ("33.0,331,Axial T2", "study_id is '33.0', expected a whole number"),
        (",331,Axial T2", "study_id is empty, expected a whole number"),
        ("33,1.2E+09,Axial T2", "series_id is '1.2E+09', expected a whole number: a spreadsheet"),
        ("1234567890123456789,331,Axial T2", "study_id is '1234567890123456789', expected at most"),
        ("033,330,Axial T2", "an earlier row lists the same series"),
    ],
)
def test_invalid_test_row_drops_only_its_series(root: Path, row: str, why: str) -> None:
    with (root / "test_series_descriptions.csv").open("a", encoding="utf-8") as table:
        table.write(f"{row}\n33,332,Sagittal T1\n")
    competition = open_competition(root)
    assert competition.series.filter(split="test")["series_id"].to_list() == [330, 332]
    (left_out,) = competition.left_out.rows(named=True)
    assert left_out["line"] == 3
    assert left_out["why"].startswith(why)
    assert examine(competition, None).finding("test_rows_left_out").count == 1


def test_training_table_without_series_is_refused(root: Path) -> None:
    path = root / "train_series_descriptions.csv"
    path.write_text("study_id,series_id,series_description\n", encoding="utf-8")
    assert refusal(root) == f"{path}: lists no series, expected one per row"


def test_id_with_too_many_digits_is_refused(root: Path) -> None:
    edit(root, "train.csv", "\n11,", "\n1234567890123456789,")
    message = refusal(root)
    assert "study_id in line 3 is '1234567890123456789'" in message
    assert "expected at most 18 digits, found 19" in message


def test_id_rounded_by_a_spreadsheet_is_explained(root: Path) -> None:
    edit(root, "train.csv", "\n11,", "\n1.23457E+11,")
    assert "a spreadsheet rounds ids so" in refusal(root)


def test_id_with_leading_zeros_equals_its_number(root: Path) -> None:
    before = open_competition(root)
    edit(root, "train.csv", "\n11,", "\n0000000000000000000011,")
    edit(root, "sample_submission.csv", "33_spinal", "0033_spinal")
    after = open_competition(root)
    assert after.labels.equals(before.labels)
    assert after.row_ids[0] == "0033_spinal_canal_stenosis_l2_l3"
    edit(root, "train.csv", "\n22,", "\n011,")
    assert "study_id 11 is listed twice, in lines 2 and 3" in refusal(root)


def test_line_numbers_in_messages_are_those_of_the_file(root: Path) -> None:
    edit(root, "train_label_coordinates.csv", "\n11,", "\n\n\n11,")
    edit(root, "train_label_coordinates.csv", "20.5", "low")
    assert "y in line 5 is 'low'" in refusal(root)


def test_table_without_studies_is_refused(root: Path) -> None:
    write(root, "train.csv", ",".join(["study_id", *CELLS]))
    assert "train.csv: lists no study" in refusal(root)


def test_labels_are_read_without_the_other_tables(root: Path) -> None:
    for path in root.iterdir():
        if path.name != "train.csv":
            path.unlink()
    assert read_labels(root).height == 50


@pytest.mark.skipif("LSDC_REAL_DATA" not in os.environ, reason="LSDC_REAL_DATA is not set")
def test_real_tables_are_read_completely() -> None:
    competition = open_competition(Path(os.environ["LSDC_REAL_DATA"]) / "competition")
    assert competition.labels.height == 49_375
    assert competition.labels["grade"].null_count() == 572
    assert competition.annotations.height == 48_668
    train = competition.series.filter(split="train")
    assert train["series_description"].value_counts(sort=True).rows() == [
        ("Axial T2", 2340),
        ("Sagittal T1", 1980),
        ("Sagittal T2/STIR", 1974),
    ]
    assert len(competition.row_ids) == 25
