"""Cases to look at: the worst, the most doubtful, and random ones."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.scoring.scored import Scored

CASES = 60


@dataclass(frozen=True)
class Chosen:
    """Rows of `Scored.cases` to look at, the most important first."""

    worst: pl.DataFrame
    doubtful: pl.DataFrame
    random: pl.DataFrame

    @property
    def rows(self) -> pl.DataFrame:
        """All of them, each once: row_id, study_id, condition, level."""
        names = ["row_id", "study_id", "condition", "level"]
        chosen = (self.worst, self.doubtful, self.random)
        return pl.concat(each.select(names) for each in chosen).unique(maintain_order=True)


def choose_cases(scored: Scored, cases: int = CASES) -> Chosen:
    """Choose cases: those that cost most, those of the highest entropy, and a random sample.

    The same rows always give the same choice.

    Args:
        scored: the predictions.
        cases: how many cases to choose at most; half of them are the worst.
    """
    rows, other = scored.cases, cases // 4
    given = np.clip(rows.select(PROBABILITIES).to_numpy(), 1e-12, 1)
    entropy = pl.Series("entropy", -(given * np.log(given)).sum(axis=1))
    chance = np.random.default_rng(0).permutation(rows.height)[:other]
    return Chosen(
        worst=worst_cases(scored, cases - 2 * other),
        doubtful=rows.with_columns(entropy)
        .sort("entropy", descending=True, maintain_order=True)
        .head(other),
        random=rows[np.sort(chance)],
    )


def worst_cases(scored: Scored, cases: int) -> pl.DataFrame:
    """Return the rows of `Scored.cases` that cost most, the worst first."""
    return scored.cases.sort("cost", descending=True, maintain_order=True).head(cases)
