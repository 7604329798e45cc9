"""Read and check the competition's tables, and convert them to long format.

    train.csv                          labels      `Labels`
    train_label_coordinates.csv        annotations `Annotations`
    {train,test}_series_descriptions   series      split, study_id, series_id, series_description
    sample_submission.csv              row_ids     in the file's order

Labels and annotations use the words of the vocabulary.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import dataframely as dy
import polars as pl

from lsdc.challenges.lumbar import columns
from lsdc.challenges.lumbar.competition.row_ids import split_row_ids
from lsdc.challenges.lumbar.competition.series_kinds import SERIES_KINDS
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADES, LEVELS, SeriesDescription
from lsdc.dicom_index.listing import Listing, Split
from lsdc.errors import DataError
from lsdc.tables import checked_csv
from lsdc.tables.table import Table

_TABLES = (
    "train.csv",
    "train_series_descriptions.csv",
    "train_label_coordinates.csv",
    "test_series_descriptions.csv",
    (_SAMPLE := "sample_submission.csv"),
)
_GRADES_IN_TABLE = {grade.in_table: code for code, grade in enumerate(GRADES)}
_CONDITIONS_IN_TABLE = {name.replace("_", " ").title(): str(name) for name in CONDITIONS}
_LEVELS_IN_TABLE = {name.replace("_", "/").upper(): str(name) for name in LEVELS}
_SERIES_ID = ["study_id", "series_id"]
_LEFT_OUT = {checked_csv.LINE: pl.Int64} | dict.fromkeys(
    (*_SERIES_ID, "series_description", "why"), pl.String
)
_DESCRIPTIONS = {str(name): str(name) for name in SeriesDescription}


class Labels(Table):
    """One row per study, condition and level, of the studies in folds."""

    study_id = columns.study(primary_key=True)
    condition = columns.condition(primary_key=True)
    level = columns.level(primary_key=True)
    grade = dy.Int8(
        nullable=True,
        min=0,
        max=len(GRADES) - 1,
        description="0 is normal or mild, 1 moderate, 2 severe; null if there is no grade.",
    )


class Holdout(Labels):
    """One row per study, condition and level, of the studies that are held out of all folds."""


class Annotations(Table):
    """One row per point of train_label_coordinates.csv, as the run reads it."""

    study_id = columns.study()
    series_id = columns.series()
    instance_number = columns.image()
    condition = columns.condition()
    level = columns.level()
    x_px = dy.Float64(description=columns.PIXEL)
    y_px = dy.Float64(description=columns.PIXEL)


@dataclass(frozen=True, kw_only=True)
class Competition(Listing):
    """A competition's folder and its tables; the test split may be empty.

    Attributes:
        labels: the labels as `read_labels` returns them.
        row_ids: the row ids of the sample submission, in its order.
    """

    labels: pl.DataFrame
    row_ids: tuple[str, ...]


def competition_in(root: Path) -> Competition | None:
    """Open the competition in a folder; return None if it has none of the tables.

    Raises:
        DataError: as `open_competition`, which requires the other tables once there is one.
    """
    return open_competition(root) if is_competition(root) else None


def is_competition(root: Path) -> bool:
    """Return whether a folder has any of the tables whose names other competitions do not use."""
    return any((root / name).is_file() for name in _TABLES if name != _SAMPLE)


def asks_for_rows(root: Path) -> bool:
    """Return whether a competition's folder has a `sample_submission.csv` with any row.

    Raises:
        DataError: the file cannot be read.
    """
    return bool(wanted_rows(root))


def wanted_rows(root: Path) -> tuple[str, ...]:
    """Return the row ids of a folder's `sample_submission.csv`, in its order; none without it.

    Raises:
        DataError: the file cannot be read.
    """
    return _read_row_ids(root) if (root / "sample_submission.csv").is_file() else ()


def open_test_set(root: Path) -> Listing | None:
    """Read only the table of a folder's test series; return None if it lists none.

    Invalid rows are in `left_out`, as in `open_competition`.

    Raises:
        DataError: the table cannot be read.
    """
    if not (root / "test_series_descriptions.csv").is_file():
        return None
    test, left_out, spelled = _read_test_series(root)
    return None if test.is_empty() else listing_of(root, test, left_out=left_out, spelled=spelled)


def listing_of(
    root: Path,
    series: pl.DataFrame,
    *,
    left_out: pl.DataFrame | None = None,
    spelled: Mapping[int, str] | None = None,
) -> Listing:
    """Return the listing of series without annotated points.

    Args:
        root: the folder of the images.
        series: split, study_id, series_id, series_description.
        left_out: invalid rows of the table of the series.
        spelled: the spelling of ids that begin with zeros.
    """
    return Listing(
        root=root,
        series=series,
        annotations=pl.DataFrame(schema=dict.fromkeys([*_SERIES_ID, "instance_number"], pl.Int64)),
        left_out=pl.DataFrame(schema=_LEFT_OUT) if left_out is None else left_out,
        spelled=spelled or {},
        kinds=SERIES_KINDS,
    )


def open_competition(root: Path) -> Competition:
    """Read and check all tables of a competition's folder.

    `test_series_descriptions.csv` and `sample_submission.csv` may both be absent or empty: the
    competition is then for training only. Annotations are always required here, since level points
    are learnt from them; use `read_labels` for scoring only.

    An invalid row of `test_series_descriptions.csv` drops only its series; the submission still
    needs all its rows.

    Raises:
        DataError: the folder, a table or a column is missing, or a row of a table other than
            `test_series_descriptions.csv` is invalid.
    """
    if not root.is_dir():
        raise DataError(
            f"{root}: no such folder, expected one with train.csv, the competition's other tables "
            "and its images; give it as --data"
        )
    test_tables = [root / "test_series_descriptions.csv", root / "sample_submission.csv"]
    has_test = any(path.exists() for path in test_tables)
    labels, annotations = read_labels(root), _read_annotations(root)
    training, spelled = _read_series(root)
    row_ids = _read_row_ids(root) if has_test else ()
    test, left_out = training.clear(), pl.DataFrame(schema=_LEFT_OUT)
    if has_test:
        test, left_out, of_test = _read_test_series(root)
        spelled |= of_test
    return Competition(
        root=root,
        labels=labels,
        annotations=annotations,
        series=pl.concat([training, test]),
        row_ids=row_ids,
        left_out=left_out,
        spelled=spelled,
        kinds=SERIES_KINDS,
    )


def read_labels(root: Path) -> pl.DataFrame:
    """Read the labels of a competition's folder, and no other table.

    Returns:
        `Labels`: 25 rows per study, studies in the file's order.

    Raises:
        DataError: the folder, the table or a column is missing, a study id is not a whole number or
            is repeated, a grade does not exist, or there is no study at all.
    """
    path = root / "train.csv"
    cells = {
        f"{condition}_{level}": (condition, level) for condition in CONDITIONS for level in LEVELS
    }
    wide = checked_csv.read_csv(path, ["study_id", *cells])
    if not wide.height:
        raise DataError(f"{path}: lists no study, expected one per row")
    wide = checked_csv.integers(wide, ["study_id"], str(path))
    checked_csv.refuse_repeats(wide, ["study_id"], str(path))
    order = {name: place for place, name in enumerate(cells)}
    long = (
        wide.drop(checked_csv.LINE)
        .with_row_index("study")
        .unpivot(index=["study", "study_id"], variable_name="cell", value_name="word")
        .sort("study", pl.col("cell").replace_strict(order, return_dtype=pl.UInt8))
    )
    _refuse_unknown_grades(long, path)
    return long.select(
        "study_id",
        *(
            pl.col("cell")
            .replace_strict({name: str(pair[k]) for name, pair in cells.items()})
            .alias(column)
            for k, column in enumerate(("condition", "level"))
        ),
        grade=pl.col("word").replace_strict(_GRADES_IN_TABLE, return_dtype=pl.Int8),
    )


def _refuse_unknown_grades(long: pl.DataFrame, path: Path) -> None:
    unknown = long.filter(
        pl.col("word").is_not_null() & ~pl.col("word").is_in(list(_GRADES_IN_TABLE))
    )
    if unknown.height:
        first = unknown.row(0, named=True)
        more = f" (and {unknown.height - 1} more)" if unknown.height > 1 else ""
        raise DataError(
            f"{path}: {first['cell']} of study {first['study_id']} is {first['word']!r}{more}, "
            f"expected {checked_csv.one_of(_GRADES_IN_TABLE)}, or an empty cell"
        )


def _read_annotations(root: Path) -> pl.DataFrame:
    path = root / "train_label_coordinates.csv"
    ids = ["study_id", "series_id", "instance_number"]
    table = checked_csv.read_csv(path, [*ids, "condition", "level", "x", "y"])
    table = checked_csv.integers(table, ids, str(path))
    table = checked_csv.words(table, "condition", _CONDITIONS_IN_TABLE, str(path))
    table = checked_csv.words(table, "level", _LEVELS_IN_TABLE, str(path))
    table = checked_csv.reals(table, ["x", "y"], str(path))
    return table.drop(checked_csv.LINE).rename({"x": "x_px", "y": "y_px"})


def _read_series(root: Path) -> tuple[pl.DataFrame, dict[int, str]]:
    """Return the rows of the training table, and the spelling of ids that begin with zeros."""
    path = root / "train_series_descriptions.csv"
    written = checked_csv.read_csv(path, [*_SERIES_ID, "series_description"])
    if not written.height:
        raise DataError(f"{path}: lists no series, expected one per row")
    table = checked_csv.integers(written, _SERIES_ID, str(path))
    table = checked_csv.words(table, "series_description", _DESCRIPTIONS, str(path))
    checked_csv.refuse_repeats(table, _SERIES_ID, str(path))
    return _as_series(table, "train"), _spelled(written)


def _read_test_series(root: Path) -> tuple[pl.DataFrame, pl.DataFrame, dict[int, str]]:
    """Return the test table's valid rows, its invalid rows with reasons, and spellings of ids."""
    path = root / "test_series_descriptions.csv"
    table = checked_csv.read_csv(path, [*_SERIES_ID, "series_description"])
    known = pl.col("series_description").is_in(list(_DESCRIPTIONS)).fill_null(False)
    ids = pl.struct(pl.col(name).str.strip_chars_start("0") for name in _SERIES_ID)
    rows = table.with_columns(
        why=pl.when(~checked_csv.is_whole("study_id"))
        .then(_no_whole_number("study_id"))
        .when(~checked_csv.is_whole("series_id"))
        .then(_no_whole_number("series_id"))
        .when(~known)
        .then(pl.lit(f"series_description is not {checked_csv.one_of(_DESCRIPTIONS)}"))
    )
    again = pl.col("why").is_null() & ~ids.is_first_distinct().over("why")
    rows = rows.with_columns(
        why=pl.when(again).then(pl.lit("an earlier row lists the same series")).otherwise("why")
    )
    left_out = rows.filter(pl.col("why").is_not_null())
    written = rows.filter(pl.col("why").is_null())
    good = written.cast(dict.fromkeys(_SERIES_ID, pl.Int64))
    return _as_series(good, "test"), left_out.select(list(_LEFT_OUT)), _spelled(written)


def _no_whole_number(column: str) -> pl.Expr:
    return pl.col(column).map_elements(
        lambda value: f"{column} {checked_csv.refuse_whole_number(value)}",
        return_dtype=pl.String,
        skip_nulls=False,
    )


def _spelled(written: pl.DataFrame) -> dict[int, str]:
    """Return the spelling of ids that begin with zeros, by their numbers."""
    ids = pl.concat([written[name] for name in _SERIES_ID]).unique()
    return {int(each): each for each in ids if each.startswith("0")}


def _as_series(table: pl.DataFrame, split: Split) -> pl.DataFrame:
    return table.select(pl.lit(split).alias("split"), *_SERIES_ID, "series_description")


def _read_row_ids(root: Path) -> tuple[str, ...]:
    path = root / "sample_submission.csv"
    table = checked_csv.read_csv(path, ["row_id", *(str(grade) for grade in GRADES)])
    split_row_ids(table["row_id"], str(path))
    checked_csv.refuse_repeats(table, ["row_id"], str(path))
    return tuple(table["row_id"])
