"""Cards of cases, and the table of all cases."""

from typing import Any

import polars as pl

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.report.figures.mixups import mixed_up
from lsdc.challenges.lumbar.report.page.content import Content
from lsdc.challenges.lumbar.report.page.words import (
    CONDITION_IDS,
    CONDITION_NAMES,
    GRADES_SHOWN,
    LEVEL_IDS,
    LEVEL_NAMES,
    PART_NAMES,
)
from lsdc.challenges.lumbar.scoring.scored import ANY_SEVERE, Scored
from lsdc.report import numbers
from lsdc.report.blocks import CaseCard
from lsdc.report.cases import CasePredictions, Cases, Facet
from lsdc.report.pictures import Pictures


def make_cards(
    content: Content, rows: pl.DataFrame, pictures: Pictures | None = None
) -> list[CaseCard]:
    """Return a card for each row of the first source, with the predictions of all sources."""
    keys = rows["row_id"].to_list()
    bars: dict[str, list[tuple[float, ...]]] = {key: [] for key in keys}
    for each in content.scored:
        found = each.rows.filter(pl.col("row_id").is_in(keys)).select("row_id", *PROBABILITIES)
        for key, *given in found.iter_rows():
            bars[key].append(tuple(given))
    cases = rows.select("row_id").join(
        content.first.cases, on="row_id", how="left", maintain_order="left"
    )
    shares = cases.with_columns(pl.col("cost", "any_severe") / content.first.score.score)
    return [_card(row, bars[row["row_id"]], pictures or {}) for row in shares.iter_rows(named=True)]


def _card(row: dict[str, Any], bars: list[tuple[float, ...]], pictures: Pictures) -> CaseCard:
    key, grade = row["row_id"], row["grade"]
    part = PART_NAMES[ANY_SEVERE].lower()
    severe = f", {numbers.percent(row['any_severe'])} in {part}" if row["any_severe"] else ""
    given, picture = bars[0][grade], pictures.get(key)
    return CaseCard(
        key=key,
        title=f"{LEVEL_NAMES[row['level']]} {CONDITION_NAMES[row['condition']].lower()}, "
        f"study {row['study_id']}",
        facts=f"{GRADES_SHOWN[grade]} predicted with {100 * given:.1f}\u00a0%: "
        f"{numbers.percent(row['cost'])} of the score{severe}",
        label=grade,
        bars=bars,
        picture=None if picture is None else (picture.image, picture.width, picture.height),
        seen=() if picture is None else picture.seen,
    )


def make_cases(content: Content) -> Cases:
    """Return the table of all cases, in the order of the first source."""
    rows = content.first.rows
    studies = rows["study_id"].unique(maintain_order=True)
    numbered = {study: number for number, study in enumerate(studies)}
    facets = [
        Facet("Condition", "condition", CONDITION_IDS, tuple(CONDITION_NAMES.values())),
        Facet("Level", "level", LEVEL_IDS, tuple(LEVEL_NAMES.values())),
    ]
    values = [
        _places(rows["condition"], CONDITION_IDS),
        _places(rows["level"], LEVEL_IDS),
    ]
    if folds := content.first.folds:
        texts = tuple(map(str, folds))
        facets.append(Facet("Fold", "fold", texts, texts))
        values.append(_places(rows["fold"].cast(pl.String), texts))
    return Cases(
        group_name="Study",
        groups=[str(study) for study in studies],
        group=[numbered[study] for study in rows["study_id"]],
        facets=facets,
        values=values,
        classes=GRADES_SHOWN,
        extra=PART_NAMES[ANY_SEVERE],
        labels=rows["grade"].to_list(),
        predictions=[
            CasePredictions(
                name=each.name,
                probabilities=[each.rows[name].to_list() for name in PROBABILITIES],
                losses=each.rows["loss"].to_list(),
                shares=(each.cases["cost"] / each.score.score).to_list(),
                extras=(each.cases["any_severe"] / each.score.score).to_list(),
            )
            for each in content.scored
        ],
        notes=_mixed_up(content.first),
    )


def _mixed_up(scored: Scored) -> dict[int, str]:
    """Say which levels may be mixed up, by the numbers of their rows."""
    numbered = {row_id: number for number, row_id in enumerate(scored.rows["row_id"])}
    return {
        numbered[row_id]: "Levels may be mixed up, in the labels or in the predictions: "
        f"{LEVEL_NAMES[level]} is labelled {GRADES_SHOWN[grade]} and predicted "
        f"{GRADES_SHOWN[other_grade]}, {LEVEL_NAMES[other]} the other way round."
        for row_id, level, grade, other, other_grade in mixed_up(scored).iter_rows()
    }


def _places(column: pl.Series, ids: tuple[str, ...]) -> list[int]:
    places = {name: number for number, name in enumerate(ids)}
    return column.replace_strict(places, return_dtype=pl.Int64).to_list()
