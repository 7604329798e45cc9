"""How the folds were trained: learning curves, grades by fold."""

from lsdc.challenges.lumbar.report.figures.sources import RunSource
from lsdc.challenges.lumbar.report.page.content import Content
from lsdc.challenges.lumbar.report.page.words import GRADES_SHOWN, KIND_NAMES
from lsdc.report import numbers
from lsdc.report.blocks import Block, DataTable, Paragraph, Row, Section
from lsdc.report.runs.training import folds_table, learning_curves


def training(content: Content) -> Section:
    """Return the section with learning curves and folds; empty without trained folds."""
    blocks: list[Block] = []
    for source in content.runs:
        if source.folds:
            of = "" if content.is_single else f": {source.name}"
            table = folds_table(content.titled("Trained folds", source.name), source.folds)
            blocks += [learning_curves(source.folds, of=of), table]
        if source.members:
            names = ", ".join(source.members)
            text = f"An ensemble trains no model; the reports of its members, {names}, have curves."
            blocks.append(Paragraph(content.titled(text, source.name)))
        blocks.append(_grades(content, source))
    return Section("training", "Training", blocks)


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
