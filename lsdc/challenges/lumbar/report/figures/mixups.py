"""Levels that may be mixed up: each has the grade that is predicted at the other one."""

import polars as pl

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.scoring.scored import Scored
from lsdc.challenges.lumbar.vocabulary import LEVELS

CLEARLY = 0.7  # the least probability of the other level's grade; below, chance explains more


def mixed_up(scored: Scored) -> pl.DataFrame:
    """Find neighbouring levels of a condition whose grades are predicted the other way round.

    Either the labels of the two are exchanged, or the predictions. Both grades have to be predicted
    with a probability of at least CLEARLY. A level with two such neighbours is listed with the
    clearer one.

    Returns:
        row_id, level, grade, other_level, other_grade: a row for each of the two.
    """
    places = {str(level): place for place, level in enumerate(LEVELS)}
    rows = scored.rows.select(
        "row_id",
        "study_id",
        "condition",
        "level",
        "grade",
        place=pl.col("level").replace_strict(places, return_dtype=pl.Int8),
        given=pl.concat_list(PROBABILITIES),
    )
    pairs = [
        rows.join(
            rows.with_columns(pl.col("place") + step),
            on=["study_id", "condition", "place"],
            suffix="_other",
        )
        for step in (-1, 1)
    ]
    here, there = (
        pl.col(given).list.get(pl.col(grade).cast(pl.UInt32))
        for given, grade in (("given", "grade_other"), ("given_other", "grade"))
    )
    return (
        pl.concat(pairs)
        .filter(pl.col("grade") != pl.col("grade_other"), here >= CLEARLY, there >= CLEARLY)
        .sort(here * there, descending=True, maintain_order=True)
        .unique("row_id", keep="first", maintain_order=True)
        .select(
            "row_id",
            "level",
            "grade",
            other_level="level_other",
            other_grade="grade_other",
        )
    )
