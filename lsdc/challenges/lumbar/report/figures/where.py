"""Where the score is lost: by condition, level and grade."""

from dataclasses import dataclass

import polars as pl

from lsdc.challenges.lumbar.scoring.scored import Scored
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADES, LEVELS


@dataclass(frozen=True)
class Group:
    """Some of the rows, and what they contribute to the score.

    Attributes:
        rows: the number of labelled rows.
        share: the fraction of the score.
        weight: the fraction of all rows' weight, each part of the score counting alike.
        loss: the weighted mean loss.
        grades: the number of rows of each grade.
    """

    rows: int
    share: float
    weight: float
    loss: float
    grades: tuple[int, ...]


@dataclass(frozen=True)
class WhereLost:
    """The contributions of groups of rows to the score; with `any_severe` they add up to 1.

    Attributes:
        cells: each condition and level with rows.
        levels: each level with rows, over all conditions.
        conditions: each condition with rows, over all levels.
        grades: each grade with rows.
        any_severe: the fraction of the score from any_severe_spinal, which has no level.
    """

    cells: dict[tuple[str, str], Group]
    levels: dict[str, Group]
    conditions: dict[str, Group]
    grades: dict[int, Group]
    any_severe: float


def where_lost(scored: Scored) -> WhereLost:
    """Split the score among its rows."""
    total = scored.score.score

    def groups(*by: str) -> dict[tuple[object, ...], Group]:
        own = scored.rows.with_columns(
            part=pl.col("weight") / pl.col("weight").sum().over("kind"),
            kinds=pl.col("kind").n_unique(),
        )
        found = own.group_by(by, maintain_order=True).agg(
            pl.len().alias("rows"),
            (pl.col("share").sum() / total).alias("share"),
            (pl.col("part") / pl.col("kinds")).sum().alias("weight"),
            ((pl.col("weight") * pl.col("loss")).sum() / pl.col("weight").sum()).alias("loss"),
            *((pl.col("grade") == grade).sum().alias(f"g{grade}") for grade in range(len(GRADES))),
        )
        return {
            tuple(row[name] for name in by): Group(
                rows=row["rows"],
                share=row["share"],
                weight=row["weight"],
                loss=row["loss"],
                grades=tuple(row[f"g{grade}"] for grade in range(len(GRADES))),
            )
            for row in found.iter_rows(named=True)
        }

    cells = groups("condition", "level")
    levels, conditions = groups("level"), groups("condition")
    grades = groups("grade")
    return WhereLost(
        cells={
            (condition, level): cells[condition, level]
            for condition in CONDITIONS
            for level in LEVELS
            if (condition, level) in cells
        },
        levels={str(level): levels[level,] for level in LEVELS if (level,) in levels},
        conditions={str(each): conditions[each,] for each in CONDITIONS if (each,) in conditions},
        grades={grade: grades[grade,] for grade in range(len(GRADES)) if (grade,) in grades},
        any_severe=float(scored.any_severe["share"].sum()) / total,
    )


@dataclass(frozen=True)
class Reason:
    """Why one level costs more than the others.

    Attributes:
        level: the level that costs most.
        own: its rows.
        rows: the fraction of all labelled rows.
        narrowed, narrowed_elsewhere: the fraction of moderate and severe labels there, and at the
            other levels.
        loss_elsewhere: the weighted mean loss at the other levels.
        condition: the condition that costs most there.
        condition_share: the fraction of the score from this condition at this level.
    """

    level: str
    own: Group
    rows: float
    narrowed: float
    narrowed_elsewhere: float
    loss_elsewhere: float
    condition: str
    condition_share: float


def costliest(scored: Scored, lost: WhereLost) -> Reason:
    """Return the level that costs most, and how it differs from the others."""
    level = max(lost.levels, key=lambda each: lost.levels[each].share)
    own, others = lost.levels[level], scored.rows.filter(pl.col("level") != level)
    here = {condition: group for (condition, at), group in lost.cells.items() if at == level}
    condition = max(here, key=lambda each: here[each].share)
    weight = float(others["weight"].sum())
    return Reason(
        level=level,
        own=own,
        rows=own.rows / scored.rows.height,
        narrowed=sum(own.grades[1:]) / own.rows,
        narrowed_elsewhere=others.filter(pl.col("grade") > 0).height / max(others.height, 1),
        loss_elsewhere=float((others["weight"] * others["loss"]).sum()) / weight if weight else 0.0,
        condition=condition,
        condition_share=here[condition].share,
    )
