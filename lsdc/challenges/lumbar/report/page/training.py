"""How the folds were trained: learning curves, grades by fold."""

from lsdc.challenges.lumbar.report.figures.sources import RunSource
from lsdc.challenges.lumbar.report.page.content import Content
from lsdc.challenges.lumbar.report.page.words import GRADES_SHOWN, KIND_NAMES
from lsdc.messages import counted
from lsdc.report import numbers
from lsdc.report.blocks import Block, Chart, DataTable, Paragraph, Row, Section
from lsdc.report.charts import TONES, Line, line_chart

_CURVES = {
    "loss": "Training loss",
    "validation_loss": "Validation loss",
    "score": "Score of the fold",
}


def training(content: Content) -> Section:
    """Return the section with learning curves and folds; empty without trained folds."""
    blocks: list[Block] = []
    for source in content.runs:
        if source.folds:
            curves: list[list[Block]] = [
                [_curve(content, source, column)]
                for column in _CURVES
                if column in source.folds[0].history.columns
            ]
            blocks += [Row(curves), _folds(content, source)]
        if source.members:
            names = ", ".join(source.members)
            text = f"An ensemble trains no model; the reports of its members, {names}, have curves."
            blocks.append(Paragraph(content.titled(text, source.name)))
        blocks.append(_grades(content, source))
    return Section("training", "Training", blocks)


def _curve(content: Content, source: RunSource, column: str) -> Chart:
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
        for fold in source.folds
    ]
    caption = content.titled(_CURVES[column], source.name)
    svg = line_chart(
        lines, title=f"{caption} by epoch", x_name="epoch", y_name="log loss", whole_x=True
    )
    return Chart(caption, svg, [(line.name, line.tone) for line in lines])


def _folds(content: Content, source: RunSource) -> DataTable:
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
        for fold in source.folds
    ]
    head = ["", "Epochs", "Kept epoch", "Time", "Device", "Processes"]
    if any(fold.facts.get("doubted") for fold in source.folds):
        head.append("Labels left out")
        for row, fold in zip(rows, source.folds, strict=True):
            row.append(numbers.count(fold.facts.get("doubted")))
    return DataTable(content.titled("Trained folds", source.name), head, rows, frozenset([0, 2, 4]))


def _grades(content: Content, source: RunSource) -> Row:
    """Return the labels of each fold by condition: how evenly rare grades are spread."""
    tables: list[list[Block]] = []
    for kind, name in KIND_NAMES.items():
        counts = source.scored.rows.filter(kind=kind).group_by("fold", "grade").len()
        found = {(fold, grade): rows for fold, grade, rows in counts.iter_rows()}
        rows = []
        for fold in source.scored.folds:
            own = [found.get((fold, grade), 0) for grade in range(len(GRADES_SHOWN))]
            shares = [f"{n:,} ({numbers.percent(n / max(sum(own), 1))})" for n in own]
            rows.append([f"Fold {fold}", *shares])
        caption = content.titled(f"Labels by fold, {name.lower()}", source.name)
        tables.append([DataTable(caption, ["", *GRADES_SHOWN], rows)])
    return Row(tables, wide=380)
