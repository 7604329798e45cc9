"""Learning curves, and what training the folds took."""

from collections.abc import Sequence

from lsdc.messages import counted
from lsdc.report import numbers
from lsdc.report.blocks import Block, Chart, DataTable, Row
from lsdc.report.charts import TONES, Line, line_chart
from lsdc.report.runs.trained import TrainedFold

_CURVES = {"loss": "Training loss", "validation_loss": "Validation loss"}


def learning_curves(
    folds: Sequence[TrainedFold],
    *,
    of: str = "",
    unit: str = "log loss",
    score: str = "Score of the fold",
) -> Row:
    """Return a chart for each curve of the histories, a line per fold.

    Args:
        folds: the trained folds.
        of: what follows the captions, if anything.
        unit: what the vertical axes show.
        score: the caption of the curve of the score.
    """
    curves: list[list[Block]] = [
        [_curve(f"{caption}{of}", column, folds, unit)]
        for column, caption in (*_CURVES.items(), ("score", score))
        if column in folds[0].history.columns
    ]
    return Row(curves)


def folds_table(caption: str, folds: Sequence[TrainedFold]) -> DataTable:
    """Return the epochs, the time and the device of each trained fold."""
    rows = [
        [
            f"Fold {fold.fold}",
            numbers.count(fold.facts.get("epochs")),
            str(fold.facts.get("kept", numbers.MISSING)),
            numbers.seconds(fold.facts.get("seconds")),
            f"{fold.facts.get('device', numbers.MISSING)}, "
            f"{counted(fold.facts.get('threads', 0), 'thread')}",
            numbers.count(len(fold.facts.get("processes", []))),
        ]
        for fold in folds
    ]
    head = ["", "Epochs", "Kept epoch", "Time", "Device", "Processes"]
    if any(fold.facts.get("doubted") for fold in folds):
        head.append("Labels left out")
        for row, fold in zip(rows, folds, strict=True):
            row.append(numbers.count(fold.facts.get("doubted")))
    return DataTable(caption, head, rows, frozenset([0, 2, 4]))


def _curve(caption: str, column: str, folds: Sequence[TrainedFold], unit: str) -> Chart:
    lines = [
        Line(
            f"fold {fold.fold}",
            [
                (float(epoch), float(value))
                for epoch, value in fold.history.select("epoch", column).iter_rows()
                if value is not None
            ],
            tone=fold.fold % TONES,
        )
        for fold in folds
    ]
    svg = line_chart(lines, title=f"{caption} by epoch", x_name="epoch", y_name=unit, whole_x=True)
    return Chart(caption, svg, [(line.name, line.tone) for line in lines])
