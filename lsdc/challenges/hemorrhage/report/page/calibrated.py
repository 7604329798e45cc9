"""Reliability curves, and how well predictions tell slices with a label from those without."""

from lsdc.challenges.hemorrhage.report.figures.agreement import Agreement
from lsdc.challenges.hemorrhage.report.page.content import Content
from lsdc.challenges.hemorrhage.report.words import LABEL_NAMES
from lsdc.report import numbers
from lsdc.report.blocks import Block, Chart, DataTable, Paragraph, Row, Section
from lsdc.report.charts import TONES, Line, line_chart
from lsdc.report.reliability import FEWEST_ROWS

_ABOUT = (
    "A reliability curve on the diagonal means that a label is as frequent as predicted, which the "
    "log loss rewards. ECE is the expected calibration error, the mean distance from the diagonal; "
    "large dots hold many slices. There are ten bins of probability; one of fewer than "
    f"{FEWEST_ROWS} slices is joined with its neighbour."
)
_ABOUT_RANKING = (
    "For information, as the competition does not score them: ROC AUC is the chance that a slice "
    "with the label is predicted higher than one without; average precision is high only if few "
    "other slices come between those with the label. Found and false alarms are at one half."
)


def calibrated(content: Content) -> Section:
    """Return the section with reliability curves and ranks, for each label."""
    blocks: list[Block] = [Paragraph(_ABOUT)]
    for label, name in LABEL_NAMES.items():
        blocks.append(_reliability(content, label, name))
    charts: list[list[Block]] = [[each] for each in blocks[1:]]
    blocks = [blocks[0], Row(charts), Paragraph(_ABOUT_RANKING)]
    for scored, agreed in zip(content.scored, content.agreed, strict=True):
        blocks.append(_ranks(content.titled("Agreement by label", scored.name), agreed))
    return Section("calibration", "Calibration and ranking", blocks)


def _reliability(content: Content, label: str, name: str) -> Chart:
    lines, legend = [], []
    for run, (scored, agreed) in enumerate(zip(content.scored, content.agreed, strict=True)):
        curve, tone = agreed[label].reliability, run % TONES
        points = list(zip(curve.predicted, curve.observed, strict=True))
        lines.append(Line(scored.name, points, tone=tone, dots=True, weights=curve.weight))
        legend.append((content.titled(f"ECE {curve.error:.4f}", scored.name), tone))
    svg = line_chart(
        lines,
        title=f"Reliability, {name}",
        x_name="predicted probability",
        y_name="frequency",
        unit_square=True,
    )
    return Chart(name, svg, legend)


def _ranks(caption: str, agreed: dict[str, Agreement]) -> DataTable:
    rows = [
        [
            LABEL_NAMES[label],
            numbers.count(each.positives),
            numbers.percent(each.positives / each.images),
            numbers.percent(each.mean),
            _three(each.auc),
            _three(each.precision),
            numbers.percent(each.found),
            numbers.percent(each.false_alarms),
        ]
        for label, each in agreed.items()
    ]
    head = ["", "Slices with it", "Share", "Mean prediction", "ROC AUC", "Average precision"]
    return DataTable(caption, [*head, "Found", "False alarms"], rows)


def _three(value: float | None) -> str:
    return numbers.MISSING if value is None else f"{value:.3f}"
