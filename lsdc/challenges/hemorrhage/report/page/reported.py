"""Figures that were reported for a run's experiment, beside those measured here."""

from collections.abc import Callable

import polars as pl

from lsdc.challenges.hemorrhage.report.figures.beside import accuracy, training_loss
from lsdc.challenges.hemorrhage.report.figures.sources import RunSource
from lsdc.challenges.hemorrhage.report.page.content import Content
from lsdc.experiments.reported import Result
from lsdc.report import numbers
from lsdc.report.blocks import Block, DataTable, Paragraph, Section

_ABOUT = (
    "The notes' losses and accuracies are those of the best epoch on the fold that is named. Their "
    "folds were drawn by image, with slices of one patient on both ends, and the epoch was chosen "
    "by that same fold, so such figures are too good; a fold here holds out other images than the "
    "one of that number there. Measured here is the same kind of figure: the loss that the notes "
    "trained with, which is not the metric, and the share of right labels at one half, of all six."
)
_ABOUT_BOARD = (
    "Leaderboards are the public one of stage 1, whose test images are not the training images: "
    "beside it is the score out of fold."
)


def reported(content: Content) -> Section | None:
    """Return the section with the figures of the experiments; None if no run has any."""
    blocks: list[Block] = []
    for source in content.runs:
        blocks += _of_run(content, source)
    if not blocks:
        return None
    return Section("reported", "Reported figures", blocks)


def _of_run(content: Content, source: RunSource) -> list[Block]:
    known = source.reported
    rows = [row for result in (known, *known.again) for row in _rows(source, result)]
    blocks: list[Block] = []
    if rows:
        caption = content.titled("Reported by the notes, and measured here", source.name)
        table = DataTable(caption, ["", "Reported", "Measured here"], rows)
        blocks = [Paragraph(_ABOUT), table]
        if known.leaderboard is not None or known.leaderboard_views is not None:
            blocks.append(Paragraph(_ABOUT_BOARD))
    if words := source.expected.score_words:
        rows = [["Score", words, numbers.loss(source.scored.score.score)]]
        caption = content.titled(
            "Expected on the competition's data, and measured here", source.name
        )
        about = f"The estimate is of {source.expected.of}: {source.expected.source}."
        blocks += [DataTable(caption, ["", "Expected", "Measured here"], rows), Paragraph(about)]
    return blocks


def _rows(source: RunSource, result: Result) -> list[list[str]]:
    remark = f" ({result.remark})" if result.remark else ""
    loss = source.experiment.get("loss", {})
    found = []
    for fold, value in result.losses.items():
        own = _measured(source, fold, lambda rows: training_loss(rows, loss))
        found.append([f"Validation loss, fold {fold}{remark}", f"{value:.4f}", numbers.loss(own)])
    for fold, value in result.training_losses.items():
        last = _last_training_loss(source, fold)
        found.append([f"Training loss, fold {fold}{remark}", f"{value:.4f}", numbers.loss(last)])
    for fold, value in result.accuracies.items():
        right = _measured(source, fold, accuracy)
        measured = numbers.MISSING if right is None else f"{right:.4f}"
        found.append([f"Accuracy, fold {fold}{remark}", f"{value:.4f}", measured])
    boards = {"Leaderboard": result.leaderboard, "Leaderboard with TTA": result.leaderboard_views}
    here = numbers.loss(source.scored.score.score)
    found += [
        [f"{name}{remark}", f"{value:.3f}", f"{here} out of fold"]
        for name, value in boards.items()
        if value is not None
    ]
    return found


def _measured(
    source: RunSource, fold: int, measure: Callable[[pl.DataFrame], float]
) -> float | None:
    rows = source.scored.rows.filter(fold=fold)
    return measure(rows) if rows.height else None


def _last_training_loss(source: RunSource, fold: int) -> float | None:
    history = next((each.history for each in source.folds if each.fold == fold), None)
    if history is None or not history.height:
        return None
    return float(history["loss"][-1])
