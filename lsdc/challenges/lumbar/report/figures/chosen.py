"""Cases to look at: the worst, the most doubtful, and random ones."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.report.figures.scored import Scored

WORST, DOUBTFUL, RANDOM = 30, 15, 15


@dataclass(frozen=True)
class Chosen:
    """Rows of `Scored.rows` to look at, the most important first."""

    worst: pl.DataFrame
    doubtful: pl.DataFrame
    random: pl.DataFrame


def choose_cases(
    scored: Scored, worst: int = WORST, doubtful: int = DOUBTFUL, random: int = RANDOM
) -> Chosen:
    """Choose cases: those that cost most, those of the highest entropy, and a random sample.

    The same rows always give the same choice.
    """
    rows = scored.rows
    given = np.clip(rows.select(PROBABILITIES).to_numpy(), 1e-12, 1)
    entropy = pl.Series("entropy", -(given * np.log(given)).sum(axis=1))
    chance = np.random.default_rng(0).permutation(rows.height)[:random]
    return Chosen(
        worst=rows.sort("share", descending=True, maintain_order=True).head(worst),
        doubtful=rows.with_columns(entropy)
        .sort("entropy", descending=True, maintain_order=True)
        .head(doubtful),
        random=rows[np.sort(chance)],
    )
