"""Several runs side by side: which rows, folds and labels they share, and how they differ."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.scoring.bootstrap import bootstrap
from lsdc.challenges.lumbar.scoring.metric import PARTS
from lsdc.challenges.lumbar.scoring.scored import Scored, common_rows
from lsdc.messages import counted
from lsdc.tables.resampling import Difference, Interval, interval


@dataclass(frozen=True)
class Compared:
    """Runs on the rows that all of them score.

    Attributes:
        scored: each run on these rows.
        intervals: for each run, the interval of the score and of each part; None without rows.
        differences: for each run after the first, the difference of the score and of each part.
        notes: what a reader has to know, such as rows or folds that are not the same.
    """

    scored: tuple[Scored, ...]
    intervals: tuple[tuple[Interval | None, ...], ...]
    differences: tuple[tuple[Difference, ...], ...]
    notes: tuple[str, ...]


def compare(given: Sequence[Scored]) -> Compared:
    """Put runs side by side on their common rows; works for a single run, too.

    Raises:
        DataError: runs have no row in common, or different grades.
    """
    same = common_rows(list(given)) if len(given) > 1 else list(given)
    draws = bootstrap(same)
    values = [list(each.score.as_dict().values()) for each in same]
    intervals = tuple(
        tuple(
            None if value is None else interval(draws[run, :, part])
            for part, value in enumerate(values[run])
        )
        for run in range(len(same))
    )
    differences = tuple(
        tuple(
            _difference(values[run][part], values[0][part], draws[run, :, part], draws[0, :, part])
            for part in range(1 + len(PARTS))
        )
        for run in range(1, len(same))
    )
    return Compared(tuple(same), intervals, differences, tuple(_notes(given, same)))


def changed_cases(first: Scored, other: Scored) -> pl.DataFrame:
    """Return the rows with what they cost in two runs, the largest change first.

    The changes add up to the difference of the scores.

    Returns:
        The `cases` of `first`, with `other_cost`, `change` (other minus first), `before` and
        `after` (the most likely grades).
    """
    beside = other.cases.select(
        "row_id",
        pl.col("cost").alias("other_cost"),
        pl.concat_list(PROBABILITIES).list.arg_max().alias("after"),
    )
    before = pl.concat_list(PROBABILITIES).list.arg_max().alias("before")
    return (
        first.cases.with_columns(before)
        .join(beside, on="row_id", maintain_order="left")
        .with_columns(change=pl.col("other_cost") - pl.col("cost"))
        .sort(pl.col("change").abs(), descending=True, maintain_order=True)
    )


def _difference(
    value: float | None,
    first: float | None,
    draws: NDArray[np.float64],
    of_first: NDArray[np.float64],
) -> Difference:
    if value is None or first is None:
        return Difference(None, None)
    return Difference(value - first, interval(draws - of_first))


def _notes(given: Sequence[Scored], same: Sequence[Scored]) -> list[str]:
    notes = []
    for before, after in zip(given, same, strict=True):
        if left := before.rows.height - after.rows.height:
            notes.append(
                f"{before.name} scores {counted(left, 'row')} that not all runs score; these rows "
                f"are left out here. Its score over all its rows is {before.score.score:.4f}."
            )
    first = same[0]
    for other in same[1:]:
        moved = _moved(first, other)
        if moved is None:
            notes.append(
                f"{first.name} or {other.name} has no folds: make sure that neither was trained on "
                "the studies that it predicts."
            )
        elif moved:
            studies = first.rows["study_id"].n_unique()
            notes.append(
                f"{first.name} and {other.name} have different folds: {moved:,} of "
                f"{counted(studies, 'study')} are in another fold, so their models were trained on "
                "different studies, too."
            )
    return notes


def _moved(first: Scored, other: Scored) -> int | None:
    """Return how many studies are in another fold; None if one of the two has no folds."""
    if not first.folds and not other.folds:
        return 0
    if not (first.folds and other.folds):
        return None
    own, theirs = (
        each.rows.select("study_id", "fold").unique(maintain_order=True) for each in (first, other)
    )
    both = own.join(theirs, on="study_id")
    return both.filter(pl.col("fold") != pl.col("fold_right")).height
