"""Two predictions of the same studies, compared by the competition's metric."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.competition.row_ids import row_id
from lsdc.challenges.lumbar.scoring.bootstrap import bootstrap
from lsdc.challenges.lumbar.scoring.scored import scored


@dataclass(frozen=True)
class Paired:
    """Scores over all studies, and over bootstrap samples of studies, the same for both.

    Attributes:
        first, second: the scores.
        resampled: (samples, 2).
    """

    first: float
    second: float
    resampled: NDArray[np.float64]

    @property
    def differences(self) -> NDArray[np.float64]:
        """The differences first - second, (samples,)."""
        return self.resampled[:, 0] - self.resampled[:, 1]


def compare(labels: pl.DataFrame, first: pl.DataFrame, second: pl.DataFrame) -> Paired:
    """Score two tables of predictions on the labelled rows that both have.

    Args:
        labels: study_id, condition, level, grade.
        first: row_id and probabilities.
        second: the same, of other models.
    """
    rows = labels.drop_nulls("grade").with_columns(row_id())
    for table in (first, second):
        rows = rows.join(table, on="row_id", how="semi", maintain_order="left")
    both = [
        scored(name, rows, table.join(rows, on="row_id", how="semi"))
        for name, table in (("first", first), ("second", second))
    ]
    one, other = (each.score.score for each in both)
    return Paired(one, other, bootstrap(both)[:, :, 0].T)


def fill_with_prior(found: pl.DataFrame, prior: pl.DataFrame) -> pl.DataFrame:
    """Fill rows without points, and so without crops, with the prior, as a run does."""
    columns = ["row_id", *PROBABILITIES]
    missed = prior.join(found, on="row_id", how="anti")
    return pl.concat([found.select(columns), missed.select(columns)])
