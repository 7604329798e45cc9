"""The members of an ensemble: the score of each, and what it adds."""

from lsdc.challenges.lumbar.ensemble.assess import Assessed
from lsdc.challenges.lumbar.report.figures.members import assess_members
from lsdc.challenges.lumbar.report.figures.sources import RunSource
from lsdc.challenges.lumbar.report.page.content import Content
from lsdc.report import numbers
from lsdc.report.blocks import Block, DataTable, Paragraph, Section
from lsdc.tables.resampling import Difference

_ABOUT = (
    "What a member adds is the score without it minus the score with it, on the rows that the "
    "others have: above 0, the ensemble is better with it. The 95 % intervals come from drawing "
    "studies with replacement, the same for both; if one contains 0, the difference may be chance. "
    "Fitted ensembles are fitted again without the member. Members have their own reports, with "
    "learning curves and images."
)


def members(content: Content) -> Section:
    """Return the section about the members of each source that is an ensemble."""
    blocks: list[Block] = [Paragraph(_ABOUT)]
    blocks += [_table(content, source) for source in content.runs if source.members]
    return Section("members", "Members", blocks)


def _table(content: Content, source: RunSource) -> DataTable:
    found = assess_members(source)
    rows = [[each.name, *_scores(each.own), *_adds(each.adds)] for each in found.members]
    rows.append(["Mean of all", *_scores(found.mean), *_adds(None)])
    rows.append([source.name, *_scores(found.ensemble), *_adds(None)])
    head = ["", "Labelled rows", "Score", "95 % interval", "Adds", "95 % interval"]
    return DataTable(content.titled("Members", source.name), head, rows)


def _scores(own: Assessed | None) -> list[str]:
    if own is None:
        return [numbers.count(0), *[numbers.MISSING] * 2]
    span = own.intervals["score"]
    return [
        numbers.count(own.scored.rows.height),
        numbers.loss(own.scored.score.score),
        numbers.interval(span.low, span.high) if span else numbers.MISSING,
    ]


def _adds(adds: Difference | None) -> list[str]:
    if adds is None or adds.interval is None:
        return [numbers.MISSING] * 2
    span = adds.interval
    return [numbers.difference(adds.value), numbers.interval(span.low, span.high, signed=True)]
