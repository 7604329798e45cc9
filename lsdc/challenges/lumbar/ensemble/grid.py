"""Predictions and labels as arrays, with an axis each for studies, conditions, levels and grades.

s studies, c conditions, l levels, g grades, m members; the orders are those of the vocabulary.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.competition.row_ids import row_id, split_row_ids
from lsdc.challenges.lumbar.scoring.metric import POOLED, score_arrays
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADES, LEVELS

Floats = NDArray[np.float64]
Grades = NDArray[np.int8]

KIND_OF = np.array([POOLED.index(each.pooled) for each in CONDITIONS], dtype=np.int8)  # (c,)
_CONDITION = {str(name): place for place, name in enumerate(CONDITIONS)}
_LEVEL = {str(name): place for place, name in enumerate(LEVELS)}


def predictions_grid(predictions: pl.DataFrame, studies: pl.Series) -> Floats:
    """Return predictions as (s, c, l, g); NaN where there is no row.

    Args:
        predictions: row_id and the three probabilities; rows of other studies are left out.
        studies: (s,) ids of the studies, each once.
    """
    cells = split_row_ids(predictions["row_id"], "predictions").hstack(
        predictions.select(PROBABILITIES)
    )
    place, own = _places(cells, studies)
    values = np.full((len(studies), len(CONDITIONS), len(LEVELS), len(GRADES)), np.nan)
    values[place] = own.select(PROBABILITIES).to_numpy()
    return values


def grades_grid(labels: pl.DataFrame, studies: pl.Series) -> Grades:
    """Return grades as (s, c, l); -1 where there is none.

    Args:
        labels: study_id, condition, level, grade.
        studies: (s,) ids of the studies, each once.
    """
    place, own = _places(labels.drop_nulls("grade"), studies)
    grades = np.full((len(studies), len(CONDITIONS), len(LEVELS)), -1, dtype=np.int8)
    grades[place] = own["grade"].to_numpy()
    return grades


def predictions_table(values: Floats, studies: pl.Series) -> pl.DataFrame:
    """Return (s, c, l, g) as row_id and three probabilities, without the rows that are NaN."""
    cells = pl.DataFrame(
        [(str(c), str(level)) for c in CONDITIONS for level in LEVELS],
        schema=["condition", "level"],
        orient="row",
    )
    rows = (
        studies.alias("study_id").to_frame().join(cells, how="cross", maintain_order="left_right")
    )
    flat = pl.DataFrame(values.reshape(-1, len(GRADES)), schema=list(PROBABILITIES))
    return (
        rows.select(row_id())
        .hstack(flat)
        .filter(~pl.any_horizontal(pl.col(PROBABILITIES).is_nan()))
    )


@dataclass(frozen=True)
class LabelledRows:
    """The n rows of a pooled condition that have a grade and a prediction.

    Attributes:
        where: (s, c, l) whether it is such a row; `values[where]` are theirs, (n, g).
        studies: (n,) number of the study.
        kinds: (n,) the pooled condition, an index into POOLED.
        grades: (n,).
    """

    where: NDArray[np.bool_]
    studies: NDArray[np.int64]
    kinds: NDArray[np.int8]
    grades: Grades

    @classmethod
    def of(cls, kind: int, values: Floats, grades: Grades) -> "LabelledRows":
        """Return the rows of a pooled condition, an index into POOLED.

        Args:
            kind: the pooled condition.
            values: (s, c, l, g); NaN where there is no prediction.
            grades: (s, c, l); -1 where there is none.
        """
        of_kind = np.equal(KIND_OF, kind)[None, :, None]
        where = of_kind & (grades >= 0) & ~np.isnan(values[..., 0])
        studies, conditions, _ = np.nonzero(where)
        return cls(where, studies.astype(np.int64), KIND_OF[conditions], grades[where])

    @property
    def count(self) -> int:
        """The number of rows."""
        return len(self.grades)

    def loss(self, probabilities: Floats) -> float:
        """Return the metric of predictions (n, g); for the canal, the mean with any_severe_spinal.

        Raises:
            DataError: there are no rows.
        """
        return score_arrays(self.studies, self.kinds, self.grades, probabilities).score


def logits_of(values: Floats) -> Floats:
    """Return logits of probabilities (..., g): their logarithms, with mean 0 over the grades."""
    logs = np.log(np.clip(values, 1e-6, 1))  # a probability of 0 would rule a grade out
    centred: Floats = logs - logs.mean(axis=-1, keepdims=True)
    return centred


def _places(
    rows: pl.DataFrame, studies: pl.Series
) -> tuple[tuple[NDArray[np.int64], ...], pl.DataFrame]:
    """Return the indices (study, condition, level) of rows, and the rows of these studies."""
    order = studies.alias("study_id").to_frame().with_row_index("place")
    own = rows.join(order, on="study_id", maintain_order="left").with_columns(
        pl.col("condition").replace_strict(_CONDITION, return_dtype=pl.Int64),
        pl.col("level").replace_strict(_LEVEL, return_dtype=pl.Int64),
    )
    names = ("place", "condition", "level")
    return tuple(own[name].cast(pl.Int64).to_numpy() for name in names), own
