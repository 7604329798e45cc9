"""The members of an ensemble: their predictions, and what is known of their folds and labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES, check_predictions
from lsdc.challenges.lumbar.competition.row_ids import row_id, split_row_ids
from lsdc.challenges.lumbar.folds import assign_folds
from lsdc.errors import DataError
from lsdc.messages import counted, first_few
from lsdc.store.exact_names import read_parquet
from lsdc.store.home import Home
from lsdc.store.table_files import read_columns

FOLDS, SEED = 5, 0  # of the folds that are made where none are given
_FOLD_NAMES = ("fold", "fold_id")


@dataclass(frozen=True)
class Member:
    """Predictions of some rows.

    Attributes:
        name: the run, or the file.
        predictions: row_id and the three probabilities, with a sum of 1.
        folds: study_id, fold; None if they are not known.
        labels: row_id, grade (null without one); None if they are not known.
    """

    name: str
    predictions: pl.DataFrame
    folds: pl.DataFrame | None = None
    labels: pl.DataFrame | None = None


@dataclass(frozen=True)
class Split:
    """The folds of studies, study_id and fold, and the name of where they come from."""

    source: str
    folds: pl.DataFrame


def read_member(name: str, path: Path) -> Member:
    """Read a file of predictions, with the columns fold and label if it has them, as oof.parquet.

    Raises:
        DataError: the file cannot be read, `check_predictions` refuses it, a fold or a label is no
            whole number, or a study is in two folds.
    """
    table = read_columns(path, ["row_id", *PROBABILITIES], ["fold", "label"])
    predictions = check_predictions(table, str(path))
    studies = split_row_ids(predictions["row_id"], str(path))
    # As `row_id` writes it: without zeros before the study.
    bare = studies.select(row_id())["row_id"]
    known = predictions.with_columns(bare)
    folds = labels = None
    if "fold" in table.columns:
        given = studies.select("study_id").hstack([table["fold"]])
        folds = _one_a_study(_whole(given, "fold", path), str(path))
    if "label" in table.columns:
        labels = _whole(bare.to_frame().hstack([table["label"]]), "label", path)
        labels = labels.rename({"label": "grade"})
    return Member(name, known, folds, labels)


def read_trained(name: str, folders: Sequence[Path]) -> Member:
    """Read the out-of-fold predictions of trained folds, without those that a prior made.

    Args:
        name: the name of the experiment.
        folders: the folders of its folds.
    """
    columns = ["row_id", "fold", "label", *PROBABILITIES]
    rows = pl.concat([read_parquet(folder / "oof.parquet").select(columns) for folder in folders])
    studies = split_row_ids(rows["row_id"], name).select("study_id")
    return Member(
        name,
        check_predictions(rows, name).select("row_id", *PROBABILITIES),
        _one_a_study(studies.hstack([rows["fold"].cast(pl.Int64)]), name),
        rows.select("row_id", grade=pl.col("label").cast(pl.Int64)),
    )


def read_run(home: Home, name: str) -> Member:
    """Read the out-of-fold predictions of a run.

    Raises:
        DataError: the run has none.
    """
    path = home.run(name) / "oof.parquet"
    if not path.is_file():
        raise DataError(
            f"{path.parent}: no {path.name}, expected a run with scores; train and score its folds "
            "first"
        )
    return read_member(name, path)


def read_folds(path: Path) -> pl.DataFrame:
    """Read study_id and fold (or fold_id) from a CSV or Parquet file, such as folds.parquet.

    Returns:
        study_id, fold: each study once.

    Raises:
        DataError: the file cannot be read, a value is no whole number, or a study is in two folds.
    """
    table = read_columns(path, ["study_id"], _FOLD_NAMES)
    name = next((each for each in _FOLD_NAMES if each in table.columns), None)
    if name is None:
        raise DataError(f"{path}: no column 'fold' or 'fold_id', expected the fold of each study")
    table = _whole(table.select("study_id", fold=name), "fold", path)
    return _one_a_study(_whole(table, "study_id", path).drop_nulls(), str(path))


def labels_of(members: Sequence[Member], given: pl.DataFrame | None) -> pl.DataFrame:
    """Return the labels that the members are scored with.

    Args:
        members: the members; the labels that they bring must agree.
        given: study_id, condition, level, grade; None to take those that the members bring.

    Returns:
        study_id, condition, level, grade.

    Raises:
        DataError: members have different labels, one has none and none are given, or a row is not
            among those that are given.
    """
    if given is not None:
        beside = given.select(row_id(), "grade")
        for each in members:
            _refuse_strangers(each, beside)
            _refuse_labels(each, beside, "train.csv")
        return given
    found: pl.DataFrame | None = None
    for place, each in enumerate(members):
        if each.labels is None:
            raise DataError(
                f"{each.name}: no labels, expected a column label; add --data, the folder with "
                "train.csv"
            )
        for earlier in members[:place]:
            if earlier.labels is not None:
                _refuse_labels(each, earlier.labels, earlier.name)
        found = each.labels if found is None else pl.concat([found, each.labels])
    if found is None or not found["grade"].count():
        raise DataError("ensemble: no row has a label, expected one or more to score")
    rows = found.unique("row_id", maintain_order=True)
    return split_row_ids(rows["row_id"], "labels").hstack([rows["grade"].cast(pl.Int8)])


def folds_of(members: Sequence[Member], given: pl.DataFrame | None, source: str) -> Split | None:
    """Return the folds that are given, with those of the members; None if nobody has any.

    Args:
        members: the members; the folds that they bring must agree.
        given: study_id, fold, or None.
        source: the name of the folds that are given, for messages.

    Raises:
        DataError: folds are different.
    """
    found = None if given is None else Split(source, given)
    for each in members:
        if each.folds is None:
            continue
        if found is None:
            found = Split(each.name, each.folds)
            continue
        both = found.folds.join(each.folds, on="study_id", suffix="_other")
        moved = both.filter(pl.col("fold") != pl.col("fold_other"))
        if moved.height:
            raise DataError(
                f"{each.name}: {counted(moved.height, 'study')} in another fold than in "
                f"{found.source} (the first: {moved['study_id'][0]}), expected the same folds; "
                "combine models that were trained with the same folds and seed"
            )
        more = each.folds.join(found.folds, on="study_id", how="anti")
        found = Split(found.source, pl.concat([found.folds, more]))
    return found


def complete_folds(split: Split | None, labels: pl.DataFrame) -> pl.DataFrame:
    """Return a fold for each study with a grade; without a split, they are made as for a run.

    Args:
        split: what `folds_of` returns.
        labels: study_id, condition, level, grade.

    Returns:
        study_id, fold: each study once.

    Raises:
        DataError: a study has no fold, or all are in one.
    """
    studies = labels.drop_nulls("grade")["study_id"].unique(maintain_order=True)
    if split is None:
        return assign_folds(labels, studies.to_list(), min(FOLDS, len(studies)), SEED)
    without = studies.filter(~studies.is_in(split.folds["study_id"].implode()))
    if len(without):
        raise DataError(
            f"{split.source}: no fold for {counted(len(without), 'study')} (the first: "
            f"{without[0]}), expected one for each that is scored; give all of them with --folds"
        )
    own = split.folds.filter(pl.col("study_id").is_in(studies.implode()))
    if own["fold"].n_unique() < 2:
        raise DataError(
            f"{split.source}: all studies are in one fold, expected two folds or more, to fit on "
            "the others; train more folds, or use equal weights"
        )
    return own


def require_rows(members: Sequence[Member], labels: pl.DataFrame) -> None:
    """Refuse a labelled row that no member has.

    Raises:
        DataError: there is such a row.
    """
    graded = labels.drop_nulls("grade").select(row_id())
    found = pl.concat([each.predictions.select("row_id") for each in members])
    missing = graded.join(found, on="row_id", how="anti", maintain_order="left")["row_id"]
    if len(missing):
        raise DataError(
            f"{', '.join(each.name for each in members)}: {first_few(missing)} of "
            f"{graded.height:,} labelled rows predicted by none, expected each by one or more; add "
            "a member that has them"
        )


def _refuse_strangers(member: Member, known: pl.DataFrame) -> None:
    strange = member.predictions.join(known, on="row_id", how="anti", maintain_order="left")
    if strange.height:
        raise DataError(
            f"{member.name}: {first_few(strange['row_id'])} not in train.csv, expected only rows "
            "of its studies; use the data that the predictions were made for"
        )


def _refuse_labels(member: Member, other: pl.DataFrame, source: str) -> None:
    if member.labels is None:
        return
    both = member.labels.join(other, on="row_id", suffix="_other")
    torn = both.filter(pl.col("grade").ne_missing(pl.col("grade_other")))
    if torn.height:
        raise DataError(
            f"{member.name}: {first_few(torn['row_id'])} with other labels than {source}, expected "
            "the same; combine models of the same data"
        )


def _whole(table: pl.DataFrame, column: str, path: Path) -> pl.DataFrame:
    """Return the table with a column as whole numbers; an empty cell stays empty."""
    text = table[column].cast(pl.String)
    numbers = text.str.strip_suffix(".0").cast(pl.Int64, strict=False)  # others write them so
    wrong = text.filter(numbers.is_null() & text.is_not_null())
    if len(wrong):
        raise DataError(f"{path}: {column} is {wrong[0]!r}, expected a whole number")
    return table.with_columns(numbers)


def _one_a_study(table: pl.DataFrame, source: str) -> pl.DataFrame:
    folds = table.select("study_id", "fold").unique(maintain_order=True)
    torn = folds.filter(folds["study_id"].is_duplicated())
    if torn.height:
        raise DataError(
            f"{source}: study {torn['study_id'][0]} is in folds {torn['fold'][0]} and "
            f"{torn['fold'][1]}, expected one"
        )
    return folds
