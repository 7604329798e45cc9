"""Charts, formats and the table of cases, of any challenge."""

import json
import math
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from lsdc.report import numbers
from lsdc.report.axes import Axis, span_of
from lsdc.report.blocks import heat_step
from lsdc.report.cases import CasePredictions, Cases, Facet
from lsdc.report.charts import Estimate, Line, interval_chart, line_chart


def path_points(svg: str, kind: str) -> list[tuple[float, float]]:
    """Return the points of the first path of a class."""
    (path, *_) = re.findall(rf'<path class="{kind}[^"]*" d="M([^"]+)"', svg)
    return [tuple(map(float, each.split())) for each in path.split("L")]


def test_line_is_drawn_to_scale() -> None:
    svg = line_chart(
        [Line("a", [(1, 0.0), (2, 1.0), (5, 0.25)], tone=0)],
        title="t",
        x_name="x",
        y_name="y",
    )
    (x1, y1), (x2, y2), (x3, y3) = path_points(svg, "line")
    assert (x2 - x1) / (x3 - x1) == pytest.approx(1 / 4, abs=0.01)
    assert y2 < y3 < y1  # more is higher up
    assert (y1 - y3) / (y1 - y2) == pytest.approx(1 / 4, abs=0.01)


def test_values_that_are_not_finite_are_left_out() -> None:
    points = [(1, 0.5), (2, math.nan), (3, math.inf), (4, 0.1)]
    svg = line_chart([Line("a", points, tone=0)], title="t", x_name="x", y_name="y")
    assert len(path_points(svg, "line")) == 2
    assert "nan" not in svg
    assert "inf" not in svg
    empty = line_chart([Line("a", [], tone=0)], title="t", x_name="x", y_name="y")
    assert 'class="line' not in empty


def test_names_are_escaped_and_svg_is_well_formed() -> None:
    rows = [Estimate("<b> & co", 0.5, 0.4, 0.6, dots=[("<i>", 0.45)], reference=0.8)]
    svg = interval_chart(rows, title='"quoted" <t>', x_name="loss")
    ElementTree.fromstring(svg)
    assert "<b>" not in svg
    lines = line_chart([Line("<i>", [(0, 0)], 0)], title="<", x_name="<", y_name="&")
    ElementTree.fromstring(lines)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.31, 0.34), (-5, 1200), (1, 6), (0, 1e-6)])
def test_ticks_are_inside_round_and_few(low: float, high: float) -> None:
    ticks = Axis(low, high, 0, 100).ticks()
    assert 2 <= len(ticks) <= 6
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)
    steps = {round(b - a, 9) for a, b in pairwise(ticks)}
    assert len(steps) == 1


def test_span_of_equal_values_has_a_width() -> None:
    low, high = span_of([2.0, 2.0])
    assert low < 2 < high


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.5, "50.0 %"),
        (0.0312, "3.1 %"),
        (0.00042, "0.042 %"),
        (0.0000421, "0.0042 %"),
        (0.00000042, "< 0.001 %"),
        (0, "0.0 %"),
    ],
)
def test_shares_have_two_digits_at_least(share: float, text: str) -> None:
    assert numbers.percent(share).replace("\u00a0", " ") == text


def test_colour_steps_grow_with_the_value() -> None:
    steps = [heat_step(value / 100, 1.0) for value in range(101)]
    assert steps == sorted(steps)
    assert (steps[0], steps[1], steps[-1]) == (0, 1, 8)


def test_cases_keep_their_values_in_small_numbers() -> None:
    cases = Cases(
        group_name="Patient",
        groups=["7", "8"],
        group=[0, 1],
        facets=[Facet("Place", "place", ["a", "b"], ["A", "B"])] * 2,
        values=[[0, 1], [1, 1]],
        classes=["no", "yes"],
        extra="Any",
        labels=[1, 0],
        predictions=[
            CasePredictions(
                "run", [[0.25, 0.9], [0.75, 0.1]], [0.2877, 0.1054], [0.5, 0.001234], [0.2, 0]
            )
        ],
    )
    table = json.loads(cases.as_json())
    (run,) = table["runs"]
    assert run["probabilities"][1] == [7500, 1000]
    assert run["losses"] == [2877, 1054]
    assert [share / table["shares"] for share in run["shares"]] == [50, 0.1234]
    assert run["extras"] == {"0": 20 * table["shares"]}
