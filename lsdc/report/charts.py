"""Charts as SVG, coloured by classes of the page's style sheet."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from lsdc.report.axes import Axis, span_of, tick_text

# Numbers of colours: runs and folds have the first ones, classes those from here on.
TONES, FIRST_CLASS_TONE = 8, 8

_WIDTH, _HEIGHT = 340, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 10, 40
_ROW = 44


@dataclass(frozen=True)
class Line:
    """A line of a chart: its name, its points (x, y) and the number of its colour.

    `dots` marks the points; a dot's area grows with its weight, if there are `weights`.
    """

    name: str
    points: Sequence[tuple[float, float]]
    tone: int
    dots: bool = False
    weights: Sequence[float] = ()


@dataclass(frozen=True)
class Estimate:
    """A row of an interval chart.

    Attributes:
        name: what is estimated.
        value: the estimate.
        low, high: its interval.
        dots: single values with their names, such as those of folds.
        reference: a value to compare with.
        tone: the number of the colour.
    """

    name: str
    value: float
    low: float
    high: float
    dots: Sequence[tuple[str, float]] = ()
    reference: float | None = None
    tone: int = 0


def line_chart(
    lines: Sequence[Line],
    *,
    title: str,
    x_name: str,
    y_name: str,
    unit_square: bool = False,
    whole_x: bool = False,
) -> Markup:
    """Draw lines over a common x.

    Args:
        lines: the lines; points that are not finite are left out.
        title: what the chart shows, for readers who do not see it.
        x_name: the name of the x axis.
        y_name: the name of the y axis.
        unit_square: draw both axes from 0 to 1, with the diagonal.
        whole_x: label only whole numbers of x.
    """
    points = [point for line in lines for point in line.points]
    span_x = (0.0, 1.0) if unit_square else span_of([x for x, _ in points])
    span_y = (0.0, 1.0) if unit_square else span_of([y for _, y in points])
    margin = 0 if unit_square else 0.06 * (span_y[1] - span_y[0])
    x = Axis(*span_x, _LEFT, _WIDTH - _RIGHT)
    y = Axis(span_y[0] - margin, span_y[1] + margin, _HEIGHT - _BOTTOM, _TOP)
    ticks = [tick for tick in x.ticks() if not whole_x or tick == int(tick)]
    parts = [*_grid(x, y, ticks), _axis_names(x_name, y_name)]
    if unit_square:
        parts.append(f'<path class="guide" d="M{x.at(0)} {y.at(0)}L{x.at(1)} {y.at(1)}"/>')
    parts += [_line(line, x, y) for line in lines]
    return _svg(_WIDTH, _HEIGHT, title, parts)


def interval_chart(
    rows: Sequence[Estimate], *, title: str, x_name: str, width: int = 520
) -> Markup:
    """Draw a row for each estimate: its interval, its dots and its reference.

    Args:
        rows: the estimates, from top to bottom.
        title: what the chart shows, for readers who do not see it.
        x_name: the name of the x axis.
        width: width in px; the page shows it no larger than that.
    """
    values = [value for row in rows for value in (row.low, row.high, row.value)]
    values += [value for row in rows for _, value in row.dots]
    values += [row.reference for row in rows if row.reference is not None]
    low, high = span_of(values, from_zero=min(values, default=0.0) >= 0)
    height = _TOP + _ROW * len(rows) + _BOTTOM
    x = Axis(low, high + 0.04 * (high - low), 12, width - 12)
    parts = [
        f'<path class="grid" d="M{x.at(tick)} {_TOP}V{height - _BOTTOM}"/>'
        f'<text class="tick" x="{x.at(tick)}" y="{height - _BOTTOM + 16}">{tick_text(tick)}</text>'
        for tick in x.ticks(6)
    ]
    parts.append(
        f'<text class="axis" x="{width / 2}" y="{height - 6}" text-anchor="middle">'
        f"{escape(x_name)}</text>"
    )
    for number, row in enumerate(rows):
        parts += _estimate(row, x, _TOP + _ROW * number)
    return _svg(width, height, title, parts)


def _estimate(row: Estimate, x: Axis, top: float) -> list[str]:
    middle = top + 28
    parts = [f'<text class="name" x="{x.start}" y="{top + 14}">{escape(row.name)}</text>']
    if row.reference is not None and math.isfinite(row.reference):
        parts.append(f'<path class="reference" d="M{x.at(row.reference)} {middle - 8}v16"/>')
    parts.append(
        f'<path class="interval tone-{row.tone}" d="M{x.at(row.low)} {middle}H{x.at(row.high)}"/>'
    )
    parts += [
        f'<circle class="dot" cx="{x.at(value)}" cy="{middle}" r="3.5">'
        f"<title>{escape(name)}: {value:.4f}</title></circle>"
        for name, value in row.dots
    ]
    at = x.at(row.value)
    parts.append(
        f'<path class="value tone-{row.tone}" d="M{at} {middle - 7}l7 7l-7 7l-7 -7z">'
        f"<title>{escape(row.name)}: {row.value:.4f}</title></path>"
    )
    return parts


def _grid(x: Axis, y: Axis, x_ticks: Sequence[float]) -> list[str]:
    right, bottom = x.end, y.start
    across = [
        f'<path class="grid" d="M{x.start} {y.at(tick)}H{right}"/>'
        f'<text class="tick end" x="{x.start - 6}" y="{y.at(tick) + 4}">{tick_text(tick)}</text>'
        for tick in y.ticks()
    ]
    return [
        *across,
        *(
            f'<text class="tick" x="{x.at(tick)}" y="{bottom + 16}">{tick_text(tick)}</text>'
            for tick in x_ticks
        ),
        f'<path class="base" d="M{x.start} {bottom}H{right}"/>',
    ]


def _axis_names(x_name: str, y_name: str) -> str:
    middle = _LEFT + (_WIDTH - _RIGHT - _LEFT) / 2
    down = _TOP + (_HEIGHT - _BOTTOM - _TOP) / 2
    return (
        f'<text class="axis" x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">'
        f"{escape(x_name)}</text>"
        f'<text class="axis" transform="rotate(-90 12 {down})" x="12" y="{down}" '
        f'text-anchor="middle">{escape(y_name)}</text>'
    )


def _line(line: Line, x: Axis, y: Axis) -> str:
    placed = [
        (x.at(left), y.at(up), weight)
        for (left, up), weight in zip(
            line.points, line.weights or [1.0] * len(line.points), strict=True
        )
        if math.isfinite(left) and math.isfinite(up)
    ]
    path = "L".join(f"{left} {up}" for left, up, _ in placed)
    drawn = f'<path class="line tone-{line.tone}" d="M{path}"/>' if len(placed) > 1 else ""
    if line.dots or len(placed) == 1:
        most = max((weight for *_, weight in placed), default=1.0)
        drawn += "".join(
            f'<circle class="point tone-{line.tone}" cx="{left}" cy="{up}" '
            f'r="{1.8 + 3.2 * math.sqrt(weight / most):.1f}"/>'
            for left, up, weight in placed
        )
    return f"<g><title>{escape(line.name)}</title>{drawn}</g>"


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> Markup:
    return Markup(
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )
