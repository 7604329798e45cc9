"""The four losses: with intervals, by fold, and for several runs their differences."""

from lsdc.challenges.lumbar.report.figures.sources import RunSource
from lsdc.challenges.lumbar.report.page.content import Content
from lsdc.challenges.lumbar.report.page.words import LOSSES
from lsdc.report.blocks import DataTable, Row, Section
from lsdc.report.runs.losses import loss_differences, losses_beside, losses_by_fold, losses_chart


def losses(content: Content) -> Section:
    """Return the section with all losses."""
    if content.is_single:
        table = _by_fold(content, 0)
        # Without folds, a chart would show no more than the table.
        has_chart = content.first.folds
        both = Row([[losses_chart(content, LOSSES)], [table]], wide=480) if has_chart else table
        return Section("losses", "Losses", [both])
    tables = [losses_beside(content, LOSSES), *loss_differences(content, LOSSES)]
    by_fold = [_by_fold(content, run) for run, each in enumerate(content.scored) if each.folds]
    beside = Row([[losses_chart(content, LOSSES)], tables], wide=480)
    return Section("losses", "Losses", [beside, *by_fold])


def _by_fold(content: Content, run: int) -> DataTable:
    """Return the losses by fold, and the scores that the lab log reports, on its own folds."""
    source = content.sources[run]
    if not isinstance(source, RunSource):
        return losses_by_fold(content, run, LOSSES)
    reported = source.reported
    values = {f"Fold {fold}": value for fold, value in reported.folds.items()}
    if reported.oof is not None:
        values["All"] = reported.oof
    further = {"Score in the lab log": values} if values else {}
    return losses_by_fold(content, run, LOSSES, further)
