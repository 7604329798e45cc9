"""Heat maps by condition and level."""

from collections.abc import Callable
from dataclasses import replace

from lsdc.challenges.lumbar.report.figures.where import Group, WhereLost
from lsdc.challenges.lumbar.report.page.content import Content
from lsdc.challenges.lumbar.report.page.words import (
    CONDITION_IDS,
    CONDITION_NAMES,
    LEVEL_IDS,
    LEVEL_NAMES,
    PART_NAMES,
)
from lsdc.challenges.lumbar.vocabulary import GRADES
from lsdc.report import numbers
from lsdc.report.blocks import Heat, HeatMap, heat_step
from lsdc.report.cases import EXTRA_CASES


def share_map(content: Content, run: int) -> HeatMap:
    """Return the share of each condition and level in a run's score, with its mean loss."""
    lost, name = content.lost[run], content.scored[run].name
    most = max(group.share for each in content.lost for group in each.cells.values())

    def cell(group: Group, href: str) -> Heat:
        step = heat_step(group.share, most)
        return Heat(_share(group.share), step, href, f"{group.loss:.2f}")

    *rows, (every, totals) = _rows(lost, cell)
    if severe := lost.any_severe:
        charged = [
            Heat(_share(share), heat_step(share, most), f"{EXTRA_CASES}&level={level}")
            if (share := lost.any_severe_at.get(level))
            else None
            for level in LEVEL_IDS
        ]
        whole = Heat(_share(severe.share), 0, EXTRA_CASES, f"{severe.loss:.2f}")
        rows.append((PART_NAMES["any_severe_spinal"], [*charged, whole]))
        totals = [
            replace(total, text=_share(lost.cost(level))) if total else None
            for level, total in zip((*LEVEL_IDS, ""), totals, strict=True)
        ]
    caption = "Share of the score in %, and mean loss of the labels"
    return HeatMap(content.titled(caption, name), "", _heads(), [*rows, (every, totals)])


def label_map(content: Content) -> HeatMap:
    """Return the shares of severe and moderate labels by condition and level."""
    lost = content.lost[0]
    most = max(_severe(group) for group in lost.cells.values())

    def cell(group: Group, href: str) -> Heat:
        moderate = _share(group.grades[1] / group.rows)
        step = heat_step(_severe(group), most)
        return Heat(_share(_severe(group)), step, f"{href}&label={len(GRADES) - 1}", moderate)

    return HeatMap("Severe labels in %, and moderate ones", "", _heads(), _rows(lost, cell))


def change_map(content: Content, run: int) -> HeatMap:
    """Return by how much each condition and level changes the score, against the first run."""
    first, other = content.lost[0], content.lost[run]
    scores = content.scored[0].score.score, content.scored[run].score.score

    def changes(before: Group, after: Group) -> float:
        return after.share * scores[1] - before.share * scores[0]

    found = {key: changes(first.cells[key], other.cells[key]) for key in first.cells}
    most = max(map(abs, found.values()))
    rows: list[tuple[str, list[Heat | None]]] = []
    for condition in CONDITION_IDS:
        cells: list[Heat | None] = []
        for level in LEVEL_IDS:
            change = found.get((condition, level))
            link = f"#cases?condition={condition}&level={level}"
            text = None if change is None else _change(change)
            cells.append(Heat(text, -heat_step(change, most), link) if text and change else None)
        if condition in first.conditions:
            of_all = changes(first.conditions[condition], other.conditions[condition])
            cells.append(Heat(_change(of_all)))
            rows.append((CONDITION_NAMES[condition], cells))
    if first.any_severe and other.any_severe:
        severe = changes(first.any_severe, other.any_severe)
        charged = [
            Heat(_change(change), -heat_step(change, most), f"{EXTRA_CASES}&level={level}")
            if (change := _change_at(level, first, other, scores))
            else None
            for level in LEVEL_IDS
        ]
        rows.append(
            (PART_NAMES["any_severe_spinal"], [*charged, Heat(_change(severe), 0, EXTRA_CASES)])
        )
    name = content.scored[run].name
    caption = f"Change of the score to {name}, in 0.0001: blue is better, orange worse"
    return HeatMap(caption, "", _heads(), rows)


def _heads() -> list[str]:
    return [*LEVEL_NAMES.values(), "All"]


def _change_at(
    level: str, first: WhereLost, other: WhereLost, scores: tuple[float, float]
) -> float:
    """Return by how much any_severe_spinal changes the score, by the cases of a level."""
    before, after = (each.any_severe_at.get(level, 0.0) for each in (first, other))
    return after * scores[1] - before * scores[0]


def _change(change: float) -> str:
    """Return a change of the score in ten-thousandths, the unit in the caption."""
    return f"{1e4 * change:+.1f}".replace("-", "−")


def _severe(group: Group) -> float:
    return group.grades[-1] / group.rows


def _share(share: float) -> str:
    """Return a share in per cent, without the unit, which is in the caption."""
    return numbers.percent(share).removesuffix("%").rstrip()


def _rows(
    lost: WhereLost, cell: Callable[[Group, str], Heat]
) -> list[tuple[str, list[Heat | None]]]:
    rows: list[tuple[str, list[Heat | None]]] = []
    for condition in CONDITION_IDS:
        if condition not in lost.conditions:
            continue
        of_condition = f"#cases?condition={condition}"
        cells = [
            cell(lost.cells[condition, level], f"{of_condition}&level={level}")
            if (condition, level) in lost.cells
            else None
            for level in LEVEL_IDS
        ]
        cells.append(replace(cell(lost.conditions[condition], of_condition), step=0))
        rows.append((CONDITION_NAMES[condition], cells))
    totals: list[Heat | None] = [
        replace(cell(group, f"#cases?level={level}"), step=0)
        if (group := lost.levels.get(level))
        else None
        for level in LEVEL_IDS
    ]
    return [*rows, ("All", [*totals, None])]
