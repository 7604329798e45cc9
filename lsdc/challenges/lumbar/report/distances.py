"""Write the confidence of each level's point and its distances from the annotations."""

from collections.abc import Iterator

import polars as pl
from PIL import Image

from lsdc.challenges.lumbar.report.drawing import LEVEL_COLOURS, level_name
from lsdc.challenges.lumbar.report.study import StudyResults
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS, Condition, Side
from lsdc.report.drawing import BRIGHT, DIM, LINE, write

_COLUMNS, _DISTANCE = (130, 100, 120), 100  # widths: level, confidence, source; each distance


def write_table(sheet: Image.Image, left: int, top: int, study: StudyResults) -> int:
    """Write each level's confidence and source, and the distances of annotations from predictions.

    Args:
        sheet: the sheet to write on.
        left: the x of the table's left edge.
        top: the y of the table's top edge.
        study: the study whose points are shown.

    Returns:
        The y of the table's bottom edge.
    """
    heads = ["Level point", "confidence", "from", *map(short_name, CONDITIONS)]
    widths = [*_COLUMNS, *[_DISTANCE] * len(CONDITIONS)]
    ends = [left + sum(widths[: number + 1]) for number in range(len(widths))]
    write(sheet, (ends[-1], top), "to the annotated point, mm", size=14, colour=DIM, anchor="ra")
    for row, cells in enumerate([heads, *_cells(study)]):
        y = top + (row + 1) * LINE
        for number, (cell, end) in enumerate(zip(cells, ends, strict=True)):
            colour = DIM if row == 0 else BRIGHT
            if number == 0:
                colour = DIM if row == 0 else LEVEL_COLOURS[str(LEVELS[row - 1])]
                write(sheet, (left, y), cell, size=15, colour=colour)
            else:
                write(sheet, (end, y), cell, size=15, colour=colour, anchor="ra")
    return top + (len(LEVELS) + 2) * LINE


def _cells(study: StudyResults) -> Iterator[list[str]]:
    """Yield a row per level; a dash marks a missing value."""
    points = {row["level"]: row for row in study.points.iter_rows(named=True)}
    apart = _distances(study.marks)
    for level in map(str, LEVELS):
        point = points.get(level)
        known = [f"{point['confidence']:.2f}", point["source"]] if point else ["-", "-"]
        distances = [apart.get((level, str(condition))) for condition in CONDITIONS]
        yield [
            level_name(level),
            *known,
            *("-" if distance is None else f"{distance:.1f}" for distance in distances),
        ]


def _distances(marks: pl.DataFrame) -> dict[tuple[str, str], float]:
    """Return the mm between the predicted and the annotated point of each level and condition."""
    cell = ["level", "condition"]
    both = marks.filter(kind="predicted").join(
        marks.filter(kind="annotated"), on=cell, how="inner", suffix="_annotated"
    )
    squares = [(pl.col(f"{axis}_mm") - pl.col(f"{axis}_mm_annotated")) ** 2 for axis in "xyz"]
    apart = both.select(*cell, mm=pl.sum_horizontal(squares).sqrt())
    return {(level, condition): mm for level, condition, mm in apart.iter_rows()}


def short_name(condition: Condition) -> str:
    """Return a heading of at most 9 letters, such as "foramen L"."""
    names = {"spinal": "canal", "foraminal": "foramen", "subarticular": "recess"}
    side = {Side.LEFT: " L", Side.RIGHT: " R", None: ""}[condition.side]
    return f"{names[condition.pooled]}{side}"
