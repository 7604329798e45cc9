"""Where the score is lost, in detail: levels, conditions, grades, and for several runs changes."""

from lsdc.challenges.lumbar.report.figures.where import Group, WhereLost
from lsdc.challenges.lumbar.report.page.cards import make_cards
from lsdc.challenges.lumbar.report.page.content import Content
from lsdc.challenges.lumbar.report.page.heat import change_map, share_map
from lsdc.challenges.lumbar.report.page.words import (
    CONDITION_NAMES,
    GRADES_SHOWN,
    LEVEL_NAMES,
    PART_NAMES,
)
from lsdc.challenges.lumbar.scoring.compared import changed_cases
from lsdc.report import numbers
from lsdc.report.blocks import Block, CaseList, Cell, DataTable, Paragraph, Row, Section
from lsdc.report.cases import EXTRA_CASES

_FACTS = ("Rows", "Moderate", "Severe", "Weight", "Mean loss")
_SHARE = "Share of score"
_CHANGED = 20


def groups(content: Content) -> Section:
    """Return the section with the losses by level, condition and grade."""
    about = Paragraph(
        "A group's share of the score is its mean loss times its weight, divided by the score; to "
        "a level's, the part any severe canal is added. "
        "Normal, moderate and severe rows weigh 1, 2 and 4, relative to all rows of their part of "
        "the score, and each part counts alike. Rows of any severe canal are studies; one weighs "
        "as much as its heaviest canal row: 2 if its worst canal is moderate."
    )
    blocks: list[Block] = [about]
    for run, lost in enumerate(content.lost):
        name = content.scored[run].name
        tables: list[list[Block]] = [
            [_by_level(content.titled("By level", name), lost)],
            [_by_condition(content.titled("By condition", name), lost)],
            [_by_grade(content.titled("By label", name), lost)],
        ]
        blocks.append(Row(tables, wide=560))
    return Section("groups", "Levels, conditions, grades", blocks)


def changes(content: Content) -> Section:
    """Return the section with what changes between several runs."""
    blocks: list[Block] = []
    for run in range(1, len(content.scored)):
        other = content.scored[run]
        rows = changed_cases(content.first, other)
        turned = rows.filter(rows["before"] != rows["after"])
        right = turned.filter(turned["after"] == turned["grade"]).height
        wrong = turned.filter(turned["before"] == turned["grade"]).height
        blocks += [
            Paragraph(
                f"From {content.first.name} to {other.name}, the most likely grade changes in "
                f"{turned.height:,} of {rows.height:,} cases: {right:,} become right, {wrong:,} "
                "become wrong."
            ),
            Row([[change_map(content, run)], [share_map(content, run)]], wide=430),
            CaseList(
                f"The {min(_CHANGED, rows.height)} cases that change most",
                f"The upper bar is {content.first.name}, the lower {other.name}.",
                make_cards(content, rows.head(_CHANGED)),
                compact=True,
            ),
        ]
    return Section("changes", "Changes", blocks)


def _by_level(caption: str, lost: WhereLost) -> DataTable:
    most = max(map(lost.cost, lost.levels))
    rows: list[list[Cell | str]] = [
        [
            Cell(LEVEL_NAMES[level], f"#cases?level={level}"),
            *_facts(group),
            *([numbers.percent(lost.any_severe_at[level])] if lost.any_severe else []),
            Cell(numbers.percent(lost.cost(level)), bar=lost.cost(level) / most),
        ]
        for level, group in lost.levels.items()
    ]
    charged = [PART_NAMES["any_severe_spinal"]] if lost.any_severe else []
    return DataTable(caption, ["", *_FACTS, *charged, _SHARE], rows)


def _by_condition(caption: str, lost: WhereLost) -> DataTable:
    named = [
        (Cell(CONDITION_NAMES[key], f"#cases?condition={key}"), group)
        for key, group in lost.conditions.items()
    ]
    if lost.any_severe:
        named.append((Cell(PART_NAMES["any_severe_spinal"], EXTRA_CASES), lost.any_severe))
    most = max(group.share for _, group in named)
    rows: list[list[Cell | str]] = [
        [name, *_facts(group), Cell(numbers.percent(group.share), bar=group.share / most)]
        for name, group in named
    ]
    return DataTable(caption, ["", *_FACTS, _SHARE], rows)


def _facts(group: Group) -> list[str]:
    return [
        numbers.count(group.rows),
        *(numbers.percent(grade / group.rows) for grade in group.grades[1:]),
        numbers.percent(group.weight),
        f"{group.loss:.3f}",
    ]


def _by_grade(caption: str, lost: WhereLost) -> DataTable:
    most = max(group.share for group in lost.grades.values())
    rows: list[list[Cell | str]] = [
        [
            Cell(GRADES_SHOWN[grade], f"#cases?label={grade}"),
            numbers.count(group.rows),
            numbers.percent(group.weight),
            f"{group.loss:.3f}",
            Cell(numbers.percent(group.share), bar=group.share / most),
        ]
        for grade, group in lost.grades.items()
    ]
    return DataTable(caption, ["", "Rows", "Weight", "Mean loss", _SHARE], rows)
