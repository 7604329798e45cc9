"""Where the score is lost, in detail: labels, kinds of slices, heights in the head, studies."""

from dataclasses import replace

from lsdc.challenges.hemorrhage.report.figures.where import (
    Group,
    costliest_studies,
    share_of_studies,
)
from lsdc.challenges.hemorrhage.report.page.content import Content
from lsdc.challenges.hemorrhage.report.words import HEIGHT_NAMES, LABEL_NAMES, PRESENCE
from lsdc.report import numbers
from lsdc.report.blocks import (
    Block,
    Cell,
    DataTable,
    Heat,
    HeatMap,
    Paragraph,
    Row,
    Section,
    heat_step,
)

_STUDIES = 15
_SHARE = "Share of score"
_FEW_STUDIES = 0.05


def groups(content: Content) -> Section:
    """Return the section with the losses by label, kind of slice, height and study."""
    about = (
        "A group's share of the score is what its labels contribute to it; the shares of a table "
        "add up to 100 %."
    )
    blocks: list[Block] = [Paragraph(about)]
    for run, lost in enumerate(content.lost):
        slices: list[Block] = [_by_kind(content, run)]
        if lost.heights:
            slices.append(_by_height(content, run))
        blocks.append(Row([[_by_presence(content, run)], slices], wide=480))
    blocks += _studies(content)
    return Section("groups", "Labels, slices, studies", blocks)


def label_table(content: Content, run: int) -> DataTable:
    """Return what each label costs, and how well its predictions rank the slices."""
    lost, agreed = content.lost[run], content.agreed[run]
    prior = content.scored[run].prior.as_dict()
    most = max(each.whole.share for each in lost.labels.values())
    rows: list[list[Cell | str]] = [
        [
            Cell(LABEL_NAMES[label], f"#cases?kind={label}"),
            f"{numbers.count(each.whole.positives)} "
            f"({numbers.percent(each.whole.positives / each.whole.images)})",
            numbers.loss(each.whole.loss),
            numbers.loss(prior[label]),
            _three(agreed[label].auc),
            Cell(numbers.percent(each.whole.share), bar=each.whole.share / most),
        ]
        for label, each in lost.labels.items()
    ]
    head = ["", "Slices with it", "Log loss", "Prior", "ROC AUC", _SHARE]
    return DataTable(content.titled("Labels", content.scored[run].name), head, rows)


def share_map(content: Content, run: int) -> HeatMap:
    """Return the share of each label and height in a run's score, with its mean loss."""
    lost = content.lost[run]
    most = max(group.share for group in lost.cells.values())

    def cell(group: Group, href: str) -> Heat:
        step = heat_step(group.share, most)
        return Heat(_bare(group.share), step, href, f"{group.loss:.3f}")

    rows: list[tuple[str, list[Heat | None]]] = []
    for label, own in lost.labels.items():
        link = f"#cases?kind={label}"
        cells: list[Heat | None] = [
            cell(lost.cells[label, height], f"{link}&height={height + 1}")
            if lost.cells[label, height].images
            else None
            for height in range(len(lost.heights))
        ]
        rows.append((LABEL_NAMES[label], [*cells, replace(cell(own.whole, link), step=0)]))
    whole: list[Heat | None] = [
        replace(cell(group, f"#cases?height={height + 1}"), step=0) if group.images else None
        for height, group in enumerate(lost.heights)
    ]
    rows.append(("All", [*whole, None]))
    caption = "Share of the score in %, and mean loss, by height in the stack, in fifths"
    name = content.scored[run].name
    return HeatMap(content.titled(caption, name), "", [*HEIGHT_NAMES, "All"], rows)


def _by_presence(content: Content, run: int) -> DataTable:
    lost = content.lost[run]
    most = max(max(each.present.share, each.absent.share) for each in lost.labels.values())
    rows: list[list[Cell | str]] = []
    for label, each in lost.labels.items():
        for number, group in enumerate((each.absent, each.present)):
            link = f"#cases?kind={label}&label={number}"
            rows.append(
                [Cell(f"{LABEL_NAMES[label]} {PRESENCE[number]}", link), *_facts(group, most)]
            )
    caption = content.titled("By label", content.scored[run].name)
    return DataTable(caption, ["", "Slices", "Mean loss", _SHARE], rows)


def _by_kind(content: Content, run: int) -> DataTable:
    kinds = {name: each for name, each in content.lost[run].kinds.items() if each.images}
    most = max(each.share for each in kinds.values())
    rows = [[f"Slices {name}", *_facts(each, most)] for name, each in kinds.items()]
    caption = content.titled("By kind of slice", content.scored[run].name)
    return DataTable(caption, ["", "Slices", "Mean loss", _SHARE], rows)


def _by_height(content: Content, run: int) -> DataTable:
    heights = content.lost[run].heights
    most = max(each.share for each in heights)
    rows: list[list[Cell | str]] = [
        [
            Cell(name.capitalize(), f"#cases?height={number + 1}"),
            numbers.percent(each.positives / max(each.images, 1)),
            *_facts(each, most),
        ]
        for number, (name, each) in enumerate(zip(HEIGHT_NAMES, heights, strict=True))
    ]
    caption = content.titled("By height in the stack, in fifths", content.scored[run].name)
    return DataTable(caption, ["", "With haemorrhage", "Slices", "Mean loss", _SHARE], rows)


def _studies(content: Content) -> list[Block]:
    first = content.first
    found = costliest_studies(first, _STUDIES)
    if not found:
        return []
    most = found[0].group.share
    rows: list[list[Cell | str]] = [
        [
            Cell(each.study_id, f"#cases?group={each.study_id}"),
            numbers.count(each.group.images),
            numbers.count(each.group.positives),
            f"{each.group.loss:.3f}",
            f"{LABEL_NAMES[each.label]} {numbers.percent(each.label_share)}",
            Cell(numbers.percent(each.group.share), bar=each.group.share / most),
        ]
        for each in found
    ]
    head = ["", "Slices", "With haemorrhage", "Mean loss", "Costliest label", _SHARE]
    few = share_of_studies(first, _FEW_STUDIES)
    whose = "" if content.is_single else f" in {first.name}"
    return [
        DataTable(f"The {len(found)} studies that cost most{whose}", head, rows, frozenset([0, 4])),
        Paragraph(
            f"The {100 * _FEW_STUDIES:.0f}\u00a0% of the studies that cost most make up "
            f"{numbers.percent(few)} of the score. 'lsdc inspect STUDY' draws a study with its "
            "predictions."
        ),
    ]


def _facts(group: Group, most: float) -> list[Cell | str]:
    return [
        numbers.count(group.images),
        f"{group.loss:.3f}",
        Cell(numbers.percent(group.share), bar=group.share / most if most else 0.0),
    ]


def _bare(share: float) -> str:
    """Return a share in per cent, without the unit, which is in the caption."""
    return numbers.percent(share).removesuffix("%").rstrip()


def _three(value: float | None) -> str:
    return numbers.MISSING if value is None else f"{value:.3f}"
