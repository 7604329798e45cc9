"""Several runs side by side: which rows, folds and labels they share, and how they differ."""

from collections.abc import Sequence

import polars as pl

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.scoring.bootstrap import bootstrap
from lsdc.challenges.lumbar.scoring.scored import Scored, common_rows
from lsdc.scoring.compared import Compared, Nouns, compare_scored

_NOUNS = Nouns(row="row", dealt="study", key="study_id", held_out="studies", images="studies")


def compare(given: Sequence[Scored]) -> Compared[Scored]:
    """Put runs side by side on their common rows; works for a single run, too.

    Raises:
        DataError: runs have no row in common, or different grades.
    """
    same = common_rows(list(given)) if len(given) > 1 else list(given)
    return compare_scored(given, same, bootstrap(same), _NOUNS)


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
