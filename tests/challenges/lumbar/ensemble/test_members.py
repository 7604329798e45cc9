"""Members from files: what is read, and what is refused by name."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.competition.row_ids import row_id
from lsdc.challenges.lumbar.ensemble.members import (
    Member,
    complete_folds,
    folds_of,
    labels_of,
    read_folds,
    read_member,
    require_rows,
)
from lsdc.errors import DataError
from tests.challenges.lumbar.ensemble.made import (
    as_folds,
    as_labels,
    as_member,
    deal,
    make_grades,
    make_values,
)

GRADES = make_grades(12)
LABELS = as_labels(GRADES)
FOLDS = as_folds(deal(12))
VALUES = make_values(GRADES, 1, 1)


def out_of_fold() -> pl.DataFrame:
    """Return a table with the columns of oof.parquet that matter here."""
    rows = LABELS.join(FOLDS, on="study_id", maintain_order="left")
    return rows.select(row_id(), "fold", label="grade").join(
        as_member("a", VALUES).predictions, on="row_id", maintain_order="left"
    )


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_folds_and_labels_of_a_file_are_read(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"oof.{ending}"
    write = out_of_fold().write_csv if ending == "csv" else out_of_fold().write_parquet
    write(path)
    member = read_member("one", path)
    assert member.folds is not None
    assert member.labels is not None
    assert member.folds.sort("study_id").rows() == FOLDS.rows()
    assert member.labels["grade"].to_list() == LABELS["grade"].to_list()
    np.testing.assert_allclose(
        member.predictions.select(PROBABILITIES).to_numpy(), VALUES.reshape(-1, 3), atol=1e-12
    )


def test_file_without_folds_and_labels_is_read(tmp_path: Path) -> None:
    path = tmp_path / "zeros.csv"
    out_of_fold().select(pl.format("00{}", "row_id").alias("row_id"), *PROBABILITIES).write_csv(
        path
    )
    member = read_member("zeros", path)
    assert (member.folds, member.labels) == (None, None)
    assert member.predictions["row_id"].to_list() == out_of_fold()["row_id"].to_list()


def test_study_in_two_folds_is_named(tmp_path: Path) -> None:
    torn = out_of_fold().with_columns(fold=pl.int_range(pl.len()) % 2)
    torn.write_parquet(tmp_path / "torn.parquet")
    with pytest.raises(DataError, match=r"torn\.parquet: study 101 is in folds 0 and 1"):
        read_member("torn", tmp_path / "torn.parquet")


def test_fold_that_is_no_number_is_named(tmp_path: Path) -> None:
    words = out_of_fold().with_columns(fold=pl.lit("first"))
    words.write_csv(tmp_path / "words.csv")
    with pytest.raises(DataError, match=r"words\.csv: fold is 'first', expected a whole number"):
        read_member("words", tmp_path / "words.csv")


@pytest.mark.parametrize("name", ["fold", "fold_id"])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_table_of_folds_is_read(tmp_path: Path, name: str, ending: str) -> None:
    table = FOLDS.rename({"fold": name})
    path = tmp_path / f"folds.{ending}"
    (table.write_csv if ending == "csv" else table.write_parquet)(path)
    assert read_folds(path).rows() == FOLDS.rows()


def test_folds_that_are_written_as_fractions_are_read(tmp_path: Path) -> None:
    """As pandas writes whole numbers where a column has an empty cell."""
    FOLDS.with_columns(pl.col("fold").cast(pl.Float64)).write_csv(tmp_path / "folds.csv")
    assert read_folds(tmp_path / "folds.csv").rows() == FOLDS.rows()


def test_table_without_folds_is_refused(tmp_path: Path) -> None:
    FOLDS.select("study_id").write_csv(tmp_path / "none.csv")
    with pytest.raises(DataError, match=r"none\.csv: no column 'fold' or 'fold_id'"):
        read_folds(tmp_path / "none.csv")


def member(name: str, folds: pl.DataFrame | None = None, grades: np.ndarray = GRADES) -> Member:
    labels = as_labels(grades).select(row_id(), "grade")
    return as_member(name, VALUES, folds=folds, labels=labels)


def test_labels_are_those_of_the_members() -> None:
    found = labels_of([member("a"), member("b")], None)
    assert found.rows() == LABELS.rows()


def test_members_with_other_labels_are_named() -> None:
    other = GRADES.copy()
    other[0, 0, :2] = (GRADES[0, 0, :2] + 1) % 3
    with pytest.raises(DataError, match=r"^b: 2 rows \(101_spinal.*other labels than a"):
        labels_of([member("a"), member("b", grades=other)], None)
    with pytest.raises(DataError, match=r"^b: 2 rows .*other labels than train\.csv"):
        labels_of([member("a"), member("b", grades=other)], LABELS)


def test_member_without_labels_needs_them() -> None:
    with pytest.raises(DataError, match=r"b: no labels.*add --data"):
        labels_of([member("a"), as_member("b", VALUES)], None)


def test_row_of_another_study_is_named() -> None:
    known = LABELS.filter(pl.col("study_id") != 105)
    with pytest.raises(DataError, match=r"^a: 25 rows \(105_.*not in train\.csv"):
        labels_of([as_member("a", VALUES)], known)


def test_members_with_other_folds_are_named() -> None:
    moved = FOLDS.with_columns((pl.col("fold") + (pl.col("study_id") < 103)) % 4)
    with pytest.raises(DataError, match=r"^b: 2 studies in another fold than in a .*first: 101"):
        folds_of([member("a", FOLDS), member("b", moved)], None, "")
    with pytest.raises(DataError, match=r"^a: .* in another fold than in mine\.csv"):
        folds_of([member("a", FOLDS)], moved, "mine.csv")


def test_study_without_a_fold_is_named() -> None:
    with pytest.raises(DataError, match=r"mine\.csv: no fold for 1 study \(the first: 112\)"):
        complete_folds(folds_of([member("a")], FOLDS.head(11), "mine.csv"), LABELS)


def test_single_fold_is_refused_where_something_is_fitted() -> None:
    single = FOLDS.with_columns(fold=pl.lit(1, dtype=pl.Int64))
    with pytest.raises(DataError, match=r"^a: all studies are in one fold.*train more folds"):
        complete_folds(folds_of([member("a", single)], None, ""), LABELS)


def test_folds_of_members_that_have_some_studies_each_are_put_together() -> None:
    found = folds_of([member("a", FOLDS.head(5)), member("b", FOLDS.tail(9))], None, "")
    assert complete_folds(found, LABELS).sort("study_id").rows() == FOLDS.rows()


def test_folds_are_made_of_whole_studies_if_nobody_has_any() -> None:
    assert folds_of([member("a")], None, "") is None
    made = complete_folds(None, LABELS)
    assert made["study_id"].to_list() == FOLDS["study_id"].to_list()
    assert made["fold"].n_unique() == 5
    assert made.equals(complete_folds(None, LABELS))


def test_row_that_no_member_has_is_named() -> None:
    lacking = VALUES.copy()
    lacking[2, 1] = np.nan
    graded = int((GRADES[2, 1] >= 0).sum())
    others = as_member("a", VALUES), as_member("b", lacking)
    require_rows(others, LABELS)
    with pytest.raises(DataError, match=rf"b, c: {graded} rows \(103_left.* predicted by none"):
        require_rows([as_member("b", lacking), as_member("c", lacking)], LABELS)
