"""Crops and labels as samples of the training engine: one head per condition, a class per grade.

A sample of one side (`side`; null for both) is graded for the canal and that side alone. A sample
of the right side is a mirror image: the left heads predict the patient's right side.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.columns import LEVEL_NUMBER
from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.competition.row_ids import with_row_id
from lsdc.challenges.lumbar.crops.frames import read_frame
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADES, Side
from lsdc.errors import DataError
from lsdc.messages import counted
from lsdc.store.exact_names import read_parquet
from lsdc.training.samples import EMPTY_LABEL, Labels, Samples


def read_table(crops: Path, split: str) -> pl.DataFrame:
    """Return the split's rows of `samples.parquet`, in the order of `crops.npy`."""
    return read_parquet(crops / "samples.parquet").filter(split=split).sort("row")


def as_samples(
    crops: Path,
    table: pl.DataFrame,
    labels: pl.DataFrame | None = None,
    *,
    with_level: bool = False,
    marks: pl.DataFrame | None = None,
) -> Samples:
    """Return the samples of a table; without labels, all labels are empty.

    Args:
        crops: the folder with crops.npy.
        table: row, study_id, level, side, mask of the samples.
        labels: study_id, condition, level, grade, and optionally the three probabilities, which
            take precedence where not null; all labels are then probabilities.
        with_level: whether the level is to be predicted, as the group.
        marks: the annotated slices, as in `crops.marks`, if the model is to tell them.

    Raises:
        DataError: the table names a row that crops.npy does not have.
    """
    slices = np.load(crops / "crops.npy", mmap_mode="r")
    rows = table["row"].to_numpy().astype(np.int64)
    if len(rows) and rows.max() >= len(slices):
        raise DataError(
            f"{crops}: samples.parquet lists row {rows.max()}, crops.npy has "
            f"{counted(len(slices), 'row')}; delete the folder, so that the crops are cut again"
        )
    frame = read_frame(crops, rows)
    slots = slices.shape[1] if frame is None else len(frame.slots)
    present = np.array(table["mask"].to_list(), dtype=bool).reshape(len(rows), slots)
    kept = present if frame is None else frame.kept
    return Samples(
        slices=slices,
        rows=rows,
        present=present,
        labels=Labels(
            grades=_grades(table, labels),
            group=table.select(LEVEL_NUMBER).to_series().to_numpy() if with_level else None,
            slices=None if marks is None else _marked(table, marks, kept),
        ),
        members=table.select("study_id", LEVEL_NUMBER).to_numpy().astype(np.int64),
        ids=tuple(
            table.select(
                pl.concat_str("study_id", "level", "side", separator="_", ignore_nulls=True)
            ).to_series()
        ),
        frame=frame,
    )


def count_repeats(grades: NDArray[Any], oversample: Sequence[int]) -> NDArray[np.int64]:
    """Return how often an epoch shows each of n samples, by its worst grade.

    Args:
        grades: (n, conditions) labels, or their probabilities (n, conditions, grades), of which
            the most likely grade counts.
        oversample: repeats for each grade; a sample without a grade counts as the first.

    >>> grades = np.array([[0, 0, 0, 0, 0], [0, 2, 0, 0, 0], [-1, 1, 0, 0, 0]])
    >>> count_repeats(grades, (1, 2, 4)).tolist()
    [1, 4, 2]
    """
    if grades.ndim == 3:
        grades = np.where(grades.any(axis=2), grades.argmax(axis=2), EMPTY_LABEL)
    worst = np.maximum(grades.max(axis=1), 0)  # an empty label is below 0
    repeats: NDArray[np.int64] = np.array(oversample, np.int64)[worst]
    return repeats


def as_rows(table: pl.DataFrame, probabilities: NDArray[np.float64]) -> pl.DataFrame:
    """Return one row per level and condition: row_id, study_id, condition, level, probabilities.

    The canal, which both samples of a level predict with `by_side`, is the mean of the two.

    Args:
        table: study_id, level, side of n samples.
        probabilities: (n, conditions, grades).
    """
    grades = [str(grade) for grade in GRADES]
    by_grade = pl.DataFrame(probabilities.reshape(-1, len(grades)), schema=grades)
    rows = (
        _questions(table)
        .hstack(by_grade)
        .filter(pl.col("condition").is_not_null())
        .group_by("study_id", "condition", "level", maintain_order=True)
        .agg(pl.col(grades).mean())
    )
    return with_row_id(rows)


def _questions(table: pl.DataFrame) -> pl.DataFrame:
    """Return one row per sample and head: study_id, level and the condition that it predicts."""
    heads = pl.DataFrame(
        {
            "condition": [str(condition) for condition in CONDITIONS],
            "mirrored": [str(condition.mirrored) for condition in CONDITIONS],
            "of_right": [condition.side == Side.RIGHT for condition in CONDITIONS],
        }
    )
    return (
        table.select("study_id", "level", "side")
        .join(heads, how="cross", maintain_order="left_right")
        .select(
            "study_id",
            "level",
            condition=pl.when(pl.col("side").is_null())
            .then("condition")
            .when("of_right")
            .then(None)
            .when(pl.col("side") == Side.RIGHT)
            .then("mirrored")
            .otherwise("condition"),
        )
    )


def _grades(table: pl.DataFrame, labels: pl.DataFrame | None) -> NDArray[Any]:
    """Return (n, conditions) int64 labels, or (n, conditions, grades) float32 probabilities."""
    columns = ["grade", *PROBABILITIES]
    found = _questions(table)
    if labels is None:
        found = found.with_columns(pl.lit(None).alias(name) for name in columns)
    else:
        key = ["study_id", "level", "condition"]
        found = found.join(labels, on=key, how="left", maintain_order="left")
    grades = found["grade"].cast(pl.Int64).fill_null(EMPTY_LABEL).to_numpy()
    classes: NDArray[Any] = grades.reshape(len(table), len(CONDITIONS))
    if not set(PROBABILITIES) <= set(found.columns) or found[PROBABILITIES[0]].is_null().all():
        return classes
    shares: NDArray[Any] = (classes[..., np.newaxis] == np.arange(len(GRADES))).astype(np.float32)
    predicted = found.select(PROBABILITIES).to_numpy().reshape(shares.shape)
    there = ~np.isnan(predicted.astype(np.float64))
    shares[there] = predicted[there]
    return shares


def _marked(
    table: pl.DataFrame, marks: pl.DataFrame, kept: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the probability (n, conditions, slots) that a stored slot has the annotated slice.

    It is shared by slots with the same slice, and all 0 where no slice is marked; `kept`
    (n, slots) excludes slices that could not be read.
    """
    shares = np.zeros((len(table), len(CONDITIONS), kept.shape[1]), np.float32)
    asked = _questions(table).with_columns(
        sample=np.arange(len(table)).repeat(len(CONDITIONS)),
        head=np.tile(np.arange(len(CONDITIONS)), len(table)),
        row=table["row"].to_numpy().repeat(len(CONDITIONS)),
    )
    found = asked.join(marks, on=["row", "condition"], how="inner", maintain_order="left")
    shares[tuple(found[name].to_numpy() for name in ("sample", "head", "place"))] = 1
    shares *= kept[:, np.newaxis]
    shares /= np.maximum(shares.sum(axis=-1, keepdims=True), 1)
    return shares
