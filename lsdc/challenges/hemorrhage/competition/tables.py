"""Read and check the competition's tables; labels become a table with a row for each image.

    stage_2_train.csv               labels      `Labels`
    stage_2_sample_submission.csv   row_ids     in the file's order

Both are long: `ID,Label`, with six rows for each image. The tables of stage 1 are read where a
folder has none of stage 2, of which they are a part.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from lsdc.challenges.hemorrhage import columns
from lsdc.challenges.hemorrhage.competition import row_ids
from lsdc.challenges.hemorrhage.competition.row_ids import ID, LABEL, Cells
from lsdc.challenges.hemorrhage.vocabulary import LABELS, SUBTYPES, Label
from lsdc.errors import DataError
from lsdc.tables import checked_csv
from lsdc.tables.findings import Finding, Severity
from lsdc.tables.table import Table

Stage = Literal[1, 2]

_STAGES: tuple[Stage, ...] = (2, 1)  # the one to prefer first
_NAMES = tuple(map(str, LABELS))


class Labels(Table):
    """One row per labelled image."""

    image_id = columns.image(primary_key=True)
    epidural = columns.label(Label.EPIDURAL)
    intraparenchymal = columns.label(Label.INTRAPARENCHYMAL)
    intraventricular = columns.label(Label.INTRAVENTRICULAR)
    subarachnoid = columns.label(Label.SUBARACHNOID)
    subdural = columns.label(Label.SUBDURAL)
    any = columns.label(Label.ANY)


@dataclass(frozen=True, kw_only=True)
class Competition:
    """A competition's folder and its tables; the test split may be empty.

    Attributes:
        root: the folder.
        stage: 1 or 2: the stage of the tables, and so of the images.
        labels: `Labels`, in the order of the table.
        findings: what `read_labels` did not take as it is written.
        row_ids: the row ids of the sample submission, in its order.
        images: the images to predict, in the order of the sample submission.
    """

    root: Path
    stage: Stage
    labels: pl.DataFrame = field(repr=False)
    findings: tuple[Finding, ...] = field(repr=False)
    row_ids: pl.Series = field(repr=False)
    images: pl.Series = field(repr=False)


def competition_in(root: Path) -> Competition | None:
    """Open the competition in a folder; return None if it has none of the tables.

    Raises:
        DataError: as `open_competition`, which requires the other table once there is one.
    """
    return open_competition(root) if is_competition(root) else None


def asks_for_rows(root: Path) -> bool:
    """Return whether a competition's folder has a sample submission with any row.

    Raises:
        DataError: the file cannot be read.
    """
    return bool(len(wanted_rows(root)))


def wanted_rows(root: Path) -> pl.Series:
    """Return the row ids of a folder's sample submission, in its order; none without it.

    Raises:
        DataError: the file cannot be read.
    """
    return _read_row_ids(_sample(root, stage_of(root)))[0]


def open_competition(root: Path) -> Competition:
    """Read and check the tables of a competition's folder, those of stage 2 if it has any.

    The sample submission may be absent or empty: the competition is then for training only.

    Raises:
        DataError: the folder, the table of labels or a column is missing, or a row is invalid.
    """
    if not root.is_dir():
        raise DataError(
            f"{root}: no such folder, expected one with stage_2_train.csv, the competition's other "
            "tables and its images; give it as --data"
        )
    stage = stage_of(root)
    labels, findings = _read_labels(root / f"stage_{stage}_train.csv")
    wanted, images = _read_row_ids(_sample(root, stage))
    return Competition(
        root=root,
        stage=stage,
        labels=labels,
        findings=findings,
        row_ids=wanted,
        images=images,
    )


def read_labels(root: Path) -> pl.DataFrame:
    """Read the labels of a competition's folder, and no other table.

    An image that is listed twice is taken once. If its rows differ, its label cannot be known: the
    image is left out. Both are among the findings of `open_competition`.

    Returns:
        `Labels`, in the order of each image's first row.

    Raises:
        DataError: the table or a column is missing, a row id is malformed, a label is not 0 or 1,
            an image has not a row for each label, or there is no image at all.
    """
    return _read_labels(table_of_labels(root))[0]


def _stage_in(root: Path) -> Stage | None:
    """Return the preferred stage of which a folder has a table."""
    return next(
        (
            stage
            for stage in _STAGES
            if (root / f"stage_{stage}_train.csv").is_file() or _sample(root, stage).is_file()
        ),
        None,
    )


def stage_of(root: Path) -> Stage:
    """Return the stage of which a folder's tables and images are read."""
    return _stage_in(root) or _STAGES[0]  # which is then missed by its name


def listed_images(competition: Competition) -> pl.DataFrame:
    """Return split and image_id of the images that a competition's tables list."""
    images = {"train": competition.labels["image_id"], "test": competition.images}
    return pl.concat(
        pl.DataFrame({"image_id": each}).select(pl.lit(split).alias("split"), "image_id")
        for split, each in images.items()
    )


def table_of_labels(root: Path) -> Path:
    """Return the path of a folder's table of labels, of the stage that is read."""
    return root / f"stage_{stage_of(root)}_train.csv"


def sample_submission(root: Path) -> Path:
    """Return the path of a folder's sample submission, of the stage that is read."""
    return _sample(root, stage_of(root))


def is_competition(root: Path) -> bool:
    """Return whether a folder has any of the tables."""
    return _stage_in(root) is not None


def _sample(root: Path, stage: int) -> Path:
    return root / f"stage_{stage}_sample_submission.csv"


def _read_labels(path: Path) -> tuple[pl.DataFrame, tuple[Finding, ...]]:
    table = _read_long(path)
    if not table.height:
        raise DataError(f"{path}: lists no image, expected six rows for each")
    wrong = ~pl.col(LABEL).is_in(["0", "1"]).fill_null(False)
    checked_csv.refuse_cells(table, wrong, LABEL, str(path), "0 or 1")
    cells = row_ids.cells_of(table[ID])
    positive = (table[LABEL] == "1").to_numpy().astype(float)
    listed, ones = cells.count(), cells.count(positive)
    _refuse_incomplete(cells, path)
    torn = pl.Series("torn", ((ones > 0) & (ones < listed)).any(axis=1))
    wide = pl.DataFrame((ones > 0).astype(np.int8), schema=list(_NAMES), orient="row")
    labels = wide.insert_column(0, cells.images)
    times = pl.Series("listed", listed.max(axis=1).astype(np.int64))
    findings = (
        _listed_twice(labels.with_columns(times).filter(~torn & (times > 1))),
        _torn(labels.select("image_id", times).filter(torn)),
        _contradicting(labels.filter(~torn)),
    )
    return labels.filter(~torn), findings


def _read_long(path: Path) -> pl.DataFrame:
    table = checked_csv.read_csv(path, [ID, LABEL])
    bad = row_ids.is_malformed().fill_null(True)
    checked_csv.refuse_cells(table, bad, ID, str(path), row_ids.EXPECTED)
    return table


def _refuse_incomplete(cells: Cells, path: Path) -> None:
    missing = cells.count() == 0
    images = cells.images.filter(missing.any(axis=1))
    if not len(images):
        return
    first = cells.row_ids(missing)[0]
    more = f" (and {missing.sum() - 1:,} more)" if missing.sum() > 1 else ""
    raise DataError(
        f"{path}: no row {first}{more}, expected six rows for each image: one for each of "
        f"{', '.join(LABELS)}; copy the table again, or add the rows"
    )


def _listed_twice(rows: pl.DataFrame) -> Finding:
    return Finding(
        name="images_listed_twice",
        title="Images listed more than once, with equal labels",
        unit="images",
        rows=rows,
        severity=Severity.NOTE,
        advice="each is used once",
    )


def _torn(rows: pl.DataFrame) -> Finding:
    return Finding(
        name="images_with_different_labels",
        title="Images listed more than once, with different labels",
        unit="images",
        rows=rows,
        advice="they are left out of folds and scores; keep the right rows in the table",
    )


def _contradicting(labels: pl.DataFrame) -> Finding:
    """Return the images whose `any` is not the largest of its subtypes."""
    subtypes = pl.max_horizontal(map(str, SUBTYPES))
    why = pl.when(subtypes == 1).then(pl.lit("a subtype without any"))
    rows = labels.filter(pl.col(Label.ANY) != subtypes)
    return Finding(
        name="contradicting_labels",
        title="Images whose label any does not follow from the subtypes",
        unit="images",
        rows=rows.with_columns(why=why.otherwise(pl.lit("any without a subtype"))),
        of=labels.height,
        advice="they are used as they are written, since the metric takes each label by itself",
    )


def _read_row_ids(path: Path) -> tuple[pl.Series, pl.Series]:
    """Return the row ids and the images of a sample submission; none without it."""
    if not path.is_file():
        return pl.Series(ID, [], pl.String), pl.Series("image_id", [], pl.String)
    table = _read_long(path)
    checked_csv.refuse_repeats(table, [ID], str(path))
    cells = row_ids.cells_of(table[ID])
    _refuse_incomplete(cells, path)
    return table[ID], cells.images
