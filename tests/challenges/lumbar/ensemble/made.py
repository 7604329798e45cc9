"""Members with planted abilities, and the labels that they predict."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.ensemble.grid import LabelledRows, predictions_table
from lsdc.challenges.lumbar.ensemble.members import Member
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADES, LEVELS

SHAPE = (len(CONDITIONS), len(LEVELS))
_FREQUENCIES = (0.6, 0.25, 0.15)


def ids(studies: int) -> pl.Series:
    return pl.Series("study_id", range(101, 101 + studies), dtype=pl.Int64)


def make_grades(studies: int, seed: int = 0) -> NDArray[np.int8]:
    """Return random grades (s, c, l); one in twenty is -1, none."""
    random = np.random.default_rng(seed)
    grades = random.choice(len(GRADES), (studies, *SHAPE), p=_FREQUENCIES)
    return np.where(random.random(grades.shape) < 0.05, -1, grades).astype(np.int8)


def make_values(
    grades: NDArray[np.int8], strength: float, seed: int, noise: float = 1.0
) -> NDArray[np.float64]:
    """Return probabilities (s, c, l, g): noise, and the given strength for the true grade."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, noise, (*grades.shape, len(GRADES))) + np.log(_FREQUENCIES)
    logits += strength * np.eye(len(GRADES))[np.maximum(grades, 0)]
    powers = np.exp(logits)
    values: NDArray[np.float64] = powers / powers.sum(-1, keepdims=True)
    return values


def as_labels(grades: NDArray[np.int8]) -> pl.DataFrame:
    """Return study_id, condition, level, grade of grades (s, c, l)."""
    rows = [
        (study, str(condition), str(level))
        for study in ids(len(grades))
        for condition in CONDITIONS
        for level in LEVELS
    ]
    table = pl.DataFrame(rows, schema=["study_id", "condition", "level"], orient="row")
    flat = [None if grade < 0 else int(grade) for grade in grades.reshape(-1)]
    return table.with_columns(grade=pl.Series(flat, dtype=pl.Int8))


def as_member(name: str, values: NDArray[np.float64], **known: pl.DataFrame) -> Member:
    return Member(name, predictions_table(values, ids(len(values))), **known)


def deal(studies: int, folds: int = 4) -> NDArray[np.int64]:
    """Return the fold of each study (s,), dealt in turn."""
    return np.arange(studies) % folds


def as_folds(fold: NDArray[np.int64]) -> pl.DataFrame:
    return ids(len(fold)).to_frame().with_columns(fold=pl.Series(fold.tolist(), dtype=pl.Int64))


def kind_loss(kind: int, values: NDArray[np.float64], grades: NDArray[np.int8]) -> float:
    """Return the metric of a pooled condition, an index into POOLED."""
    rows = LabelledRows.of(kind, values, grades)
    return rows.loss(values[rows.where])
