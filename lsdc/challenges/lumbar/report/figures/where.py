"""Where the score is lost: by condition, level and grade.

A row weighs here what it weighs in the score: its weight divided by that of all rows of its part,
and by the number of parts. So for any group of rows, its mean loss times its weight is what it
contributes to the score, whichever parts its rows belong to.
"""

from dataclasses import dataclass

import polars as pl

from lsdc.challenges.lumbar.scoring.scored import Scored
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADE_WEIGHTS, GRADES, LEVELS


@dataclass(frozen=True)
class Group:
    """Some of the rows, and what they contribute to the score: `share` = `loss` * `weight` / score.

    Attributes:
        rows: the number of labelled rows.
        share: the fraction of the score.
        weight: the fraction of the weight in the score.
        loss: the mean loss, weighted as in the score.
        grades: the number of rows of each grade.
    """

    rows: int
    share: float
    weight: float
    loss: float
    grades: tuple[int, ...]


@dataclass(frozen=True)
class WhereLost:
    """The contributions of groups of rows to the score.

    With `any_severe`, the shares of each kind of groups add up to 1, and so do the weights.
    `any_severe_at` splits its share among the levels, by the cases that answer for it.

    Attributes:
        cells: each condition and level with rows.
        levels: each level with rows, over all conditions.
        conditions: each condition with rows, over all levels.
        grades: each grade with rows.
        any_severe: the studies with canal labels, by their heaviest one, in any_severe_spinal; None
            without any.
        any_severe_at: for each level with rows, its part of the share of `any_severe`.
    """

    cells: dict[tuple[str, str], Group]
    levels: dict[str, Group]
    conditions: dict[str, Group]
    grades: dict[int, Group]
    any_severe: Group | None
    any_severe_at: dict[str, float]

    def cost(self, level: str) -> float:
        """Return the fraction of the score from all cases of a level."""
        return self.levels[level].share + self.any_severe_at[level]


def where_lost(scored: Scored) -> WhereLost:
    """Split the score among its rows."""
    total = scored.score.score

    def groups(*by: str) -> dict[tuple[object, ...], Group]:
        own = scored.rows.with_columns(
            pl.col("weight") / pl.col("weight").sum().over("kind") / scored.parts
        )
        found = own.group_by(by, maintain_order=True).agg(
            pl.len().alias("rows"),
            (pl.col("share").sum() / total).alias("share"),
            pl.col("weight").sum(),
            (pl.col("share").sum() / pl.col("weight").sum()).alias("loss"),
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

    charged = scored.cases.group_by("level").agg(pl.col("any_severe").sum() / total)
    any_severe_at = dict(charged.iter_rows())
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
        any_severe=_any_severe(scored) if scored.any_severe.height else None,
        any_severe_at={str(level): any_severe_at[level] for level in LEVELS if (level,) in levels},
    )


def _any_severe(scored: Scored) -> Group:
    studies = scored.any_severe
    share = float(studies["share"].sum())
    return Group(
        rows=studies.height,
        share=share / scored.score.score,
        weight=1 / scored.parts,
        loss=share * scored.parts,
        grades=tuple(studies.filter(weight=weight).height for weight in GRADE_WEIGHTS),
    )


@dataclass(frozen=True)
class Reason:
    """Why one level costs more than the others.

    Attributes:
        level: the level that costs most.
        own: its rows.
        cost: the fraction of the score from its cases.
        any_severe: the fraction of the score from its cases in the part any_severe_spinal.
        rows: the fraction of all labelled rows.
        narrowed, narrowed_elsewhere: the fraction of moderate and severe labels there, and at the
            other levels.
        loss_elsewhere: the mean loss at the other levels, weighted as in the score.
        condition: the condition whose labels cost most there.
        at_level: its rows at this level.
        at_others: its rows at each other level.
    """

    level: str
    own: Group
    cost: float
    any_severe: float
    rows: float
    narrowed: float
    narrowed_elsewhere: float
    loss_elsewhere: float
    condition: str
    at_level: Group
    at_others: tuple[Group, ...]


def costliest(lost: WhereLost) -> Reason:
    """Return the level that costs most, and how it differs from the others."""
    level = max(lost.levels, key=lost.cost)
    own = lost.levels[level]
    here = {condition: group for (condition, at), group in lost.cells.items() if at == level}
    condition = max(here, key=lambda each: here[each].share)
    elsewhere = [group for name, group in lost.levels.items() if name != level]
    rows = sum(group.rows for group in elsewhere)
    weight = sum(group.weight for group in elsewhere)
    return Reason(
        level=level,
        own=own,
        cost=lost.cost(level),
        any_severe=lost.any_severe_at[level],
        rows=own.rows / (own.rows + rows),
        narrowed=narrowed(own),
        narrowed_elsewhere=sum(sum(group.grades[1:]) for group in elsewhere) / (rows or 1),
        loss_elsewhere=sum(group.loss * group.weight for group in elsewhere) / (weight or 1),
        condition=condition,
        at_level=here[condition],
        at_others=tuple(
            group for (name, at), group in lost.cells.items() if name == condition and at != level
        ),
    )


def narrowed(group: Group) -> float:
    """Return the fraction of moderate and severe labels."""
    return sum(group.grades[1:]) / group.rows
