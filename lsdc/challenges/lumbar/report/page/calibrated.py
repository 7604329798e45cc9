"""Confusion matrices and reliability curves."""

from lsdc.challenges.lumbar.report.figures.calibration import confusion, reliability
from lsdc.challenges.lumbar.report.page.content import Content
from lsdc.challenges.lumbar.report.page.words import GRADES_SHOWN, KIND_NAMES
from lsdc.challenges.lumbar.scoring.scored import Scored
from lsdc.report import numbers
from lsdc.report.blocks import Block, Chart, Heat, HeatMap, Paragraph, Row, Section, heat_step
from lsdc.report.charts import FIRST_CLASS_TONE, Line, line_chart
from lsdc.report.reliability import FEWEST_ROWS


def calibrated(content: Content) -> Section:
    """Return the section with confusion matrices and reliability curves."""
    blocks: list[Block] = [
        Paragraph(
            "A reliability curve on the diagonal means that a grade is as frequent as predicted. "
            "Frequencies are weighted 1, 2 and 4 by grade as in the metric, which rewards such "
            "predictions. ECE is the expected calibration error, the mean distance from the "
            "diagonal; large dots hold much weight. There are ten bins of probability; one of "
            f"fewer than {FEWEST_ROWS} rows is joined with its neighbour."
        )
    ]
    for each in content.scored:
        kinds = [kind for kind in KIND_NAMES if kind in each.rows["kind"]]
        curves = [[_reliability(content, each, kind)] for kind in kinds]
        matrices = [[_confusion(content, each, kind)] for kind in kinds]
        blocks += [Row(curves), Row(matrices)]
    return Section("calibration", "Confusion and reliability", blocks)


def _reliability(content: Content, scored: Scored, kind: str) -> Chart:
    rows = scored.rows.filter(kind=kind)
    curves = [reliability(rows, grade) for grade in range(len(GRADES_SHOWN))]
    lines = [
        Line(
            GRADES_SHOWN[grade],
            list(zip(curve.predicted, curve.observed, strict=True)),
            tone=FIRST_CLASS_TONE + grade,
            dots=True,
            weights=curve.weight,
        )
        for grade, curve in enumerate(curves)
    ]
    caption = content.titled(KIND_NAMES[kind], scored.name)
    legend = [
        (f"{GRADES_SHOWN[grade]}, ECE {curve.error:.3f}", FIRST_CLASS_TONE + grade)
        for grade, curve in enumerate(curves)
    ]
    svg = line_chart(
        lines,
        title=f"Reliability, {caption}",
        x_name="predicted probability",
        y_name="weighted frequency",
        unit_square=True,
    )
    return Chart(caption, svg, legend)


def _confusion(content: Content, scored: Scored, kind: str) -> HeatMap:
    counts = confusion(scored.rows.filter(kind=kind))
    rows = []
    for grade, found in enumerate(counts.tolist()):
        whole = max(sum(found), 1)
        cells = [
            Heat(numbers.count(n), heat_step(n / whole, 1.0), note=numbers.percent(n / whole))
            for n in found
        ]
        rows.append((GRADES_SHOWN[grade], cells))
    caption = content.titled(f"{KIND_NAMES[kind]}: labels (rows), predictions", scored.name)
    return HeatMap(caption, "Label", GRADES_SHOWN, rows)
