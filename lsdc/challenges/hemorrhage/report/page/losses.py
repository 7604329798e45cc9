"""The losses: with intervals, by fold, and for several runs their differences."""

from lsdc.challenges.hemorrhage.report.figures.scored import prior_of
from lsdc.challenges.hemorrhage.report.page.content import Content
from lsdc.challenges.hemorrhage.report.words import LOSSES
from lsdc.report.blocks import Block, DataTable, Paragraph, Row, Section
from lsdc.report.runs.losses import loss_differences, losses_beside, losses_by_fold, losses_chart

_ABOUT = (
    "The score is the mean of the six log losses; any counts twice, so a seventh each of the other "
    "labels and two sevenths of it. The prior predicts each label's share for every slice."
)


def losses(content: Content) -> Section:
    """Return the section with all losses."""
    has_intervals = content.compared.intervals[0]["score"] is not None
    if content.is_single:
        table = _by_fold(content, 0)
        # Without folds or intervals, a chart would show no more than the table.
        has_chart = has_intervals and content.first.folds
        both = Row([[losses_chart(content, LOSSES)], [table]], wide=480) if has_chart else table
        return Section("losses", "Losses", [Paragraph(_ABOUT), both])
    tables = [losses_beside(content, LOSSES), *loss_differences(content, LOSSES)]
    by_fold = [_by_fold(content, run) for run, each in enumerate(content.scored) if each.folds]
    columns: list[list[Block]] = [[losses_chart(content, LOSSES)]] if has_intervals else []
    blocks: list[Block] = [Paragraph(_ABOUT), Row([*columns, tables], wide=480), *by_fold]
    return Section("losses", "Losses", blocks)


def _by_fold(content: Content, run: int) -> DataTable:
    """Return the losses of each fold, of all folds with the interval, and of the prior."""
    own = content.scored[run]
    priors = {f"Fold {fold}": prior_of(own.rows.filter(fold=fold)).score for fold in own.folds}
    further = {"Score of the fold's own prior": priors} if priors else {}
    return losses_by_fold(content, run, LOSSES, further)
