"""Two predictions of the same studies, compared by the competition's metric."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.competition.row_ids import row_id
from lsdc.challenges.lumbar.scoring.metric import POOLED, score_arrays
from lsdc.challenges.lumbar.vocabulary import CONDITIONS

RESAMPLES = 1000


@dataclass(frozen=True)
class Paired:
    """Scores over all studies, and over bootstrap samples of studies, the same for both.

    Attributes:
        first, second: the scores.
        resampled: (RESAMPLES, 2).
    """

    first: float
    second: float
    resampled: NDArray[np.float64]

    @property
    def differences(self) -> NDArray[np.float64]:
        """The differences first - second, (RESAMPLES,)."""
        return self.resampled[:, 0] - self.resampled[:, 1]


def compare(labels: pl.DataFrame, first: pl.DataFrame, second: pl.DataFrame) -> Paired:
    """Score two tables of predictions on the labelled rows that both have.

    Args:
        labels: study_id, condition, level, grade.
        first: row_id and probabilities.
        second: the same, of other models.
    """
    graded = labels.drop_nulls("grade").with_columns(row_id())
    rows = graded.join(first.select("row_id", *PROBABILITIES), on="row_id").join(
        second.select("row_id", *PROBABILITIES), on="row_id", suffix="_second"
    )
    rows = rows.sort("study_id")
    pooled = {str(condition): POOLED.index(condition.pooled) for condition in CONDITIONS}
    codes = rows["condition"].replace_strict(pooled, return_dtype=pl.Int8).to_numpy()
    grades = rows["grade"].to_numpy()
    both = (
        rows.select(PROBABILITIES).to_numpy(),
        rows.select(f"{name}_second" for name in PROBABILITIES).to_numpy(),
    )
    studies, starts = np.unique(rows["study_id"].to_numpy(), return_index=True)
    members = np.split(np.arange(len(rows)), starts[1:])

    def scores(chosen: NDArray[np.int64]) -> tuple[float, float]:
        picked = np.concatenate([members[study] for study in chosen])
        who = np.repeat(np.arange(len(chosen)), [len(members[study]) for study in chosen])
        one, other = (score_arrays(who, codes[picked], grades[picked], p[picked]) for p in both)
        return one.score, other.score

    random = np.random.default_rng(0)
    draws = [random.integers(0, len(studies), len(studies)) for _ in range(RESAMPLES)]
    return Paired(*scores(np.arange(len(studies))), np.array([scores(draw) for draw in draws]))
