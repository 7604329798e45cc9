"""Tables fit the width of the terminal without truncated cells."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.cli.render.experiment_tables import figures_table, list_table, settings_table
from lsdc.cli.render.run_summary import scores_table
from lsdc.experiments.metric import Metric
from lsdc.report.fitted_tables import Column, FittedTable

WIDTHS = range(40, 201, 5)


def lines_of(table: RenderableType, width: int) -> list[str]:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(table)
    return capture.get().splitlines()


def left_out(lines: list[str]) -> set[str]:
    said = " ".join(lines).partition("not shown: ")[2].partition(";")[0]
    return {" ".join(name.split()) for name in said.split(",") if name.strip()}


_WORD = st.text("ab1.", min_size=1, max_size=9)
_NUMBER = st.decimals(min_value=0, max_value=10**6, places=4).map(str)


@st.composite
def tables(draw: st.DrawFn) -> FittedTable:
    rows = draw(st.integers(1, 4))
    columns = [Column("row", [f"r{number}" for number in range(rows)], is_text=True)]
    for number in range(draw(st.integers(1, 9))):
        is_text = draw(st.booleans())
        cell = st.lists(_WORD, max_size=6).map(" ".join) if is_text else _NUMBER
        cells = draw(st.lists(cell, min_size=rows, max_size=rows))
        heading = f"column {number}" if draw(st.booleans()) else f"c{number}"
        columns.append(Column(heading, cells, is_text=is_text, rank=draw(st.integers(0, 2))))
    return FittedTable(columns)


@settings(max_examples=60, deadline=None)
@given(tables(), st.integers(40, 200))
def test_no_number_and_no_word_is_truncated_at_any_width(table: FittedTable, width: int) -> None:
    lines = lines_of(table, width)
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    pieces = set(" ".join(lines).split())
    gone = left_out(lines)
    for column in table.columns:
        if column.name in gone:
            assert column.rank
        else:
            assert {*" ".join([column.name, *column.cells]).split()} <= pieces


@settings(max_examples=20, deadline=None)
@given(tables())
def test_one_table_if_the_terminal_is_wide_enough(table: FittedTable) -> None:
    lines = lines_of(table, 10_000)
    assert not left_out(lines)
    (head,) = [line for line in lines if line.split()[:1] == ["row"]]
    assert head.split() == " ".join(column.name for column in table.columns).split()


def scores(folds: int) -> dict[str, object]:
    def losses(start: float) -> dict[str, float]:
        names = ("spinal", "foraminal", "subarticular", "any_severe_spinal", "score")
        return {name: start + number / 7 for number, name in enumerate(names)}

    of_folds = {str(fold): losses(fold + 0.1234) for fold in range(folds)}
    held_out = {**losses(21.5), "weighted_prior": losses(22.5)}
    prior = {"weighted_prior": losses(20.5), "holdout": held_out}
    return {**losses(19.5), **prior, "folds": of_folds, "partial": False, "selected": False}


@pytest.mark.parametrize("folds", [2, 10])
def test_no_loss_of_a_run_is_truncated_at_any_width(folds: int) -> None:
    table = scores_table(scores(folds), "demo", Metric())
    figures = {cell for column in table.columns[1:] for cell in column.cells}
    assert len(figures) == 5 * (folds + 4)
    for width in WIDTHS:
        lines = lines_of(table, width)
        assert max(map(len, lines)) <= width
        assert figures <= set(" ".join(lines).split())


def test_experiments_are_not_truncated_at_any_width() -> None:
    rows = [(EXPERIMENTS.load(name), None) for name in EXPERIMENTS.names()[:20]]
    reported = [next(iter(each.reported.folds.values()), None) for each, _ in rows]
    figures = {f"{figure:.4f}" for figure in reported if figure is not None}
    for width in (40, 60, 80, 97, 200):
        for table in (list_table(rows, width), figures_table(rows)):
            lines = lines_of(table, width)
            assert max(map(len, lines)) <= width
            assert figures <= set(" ".join(lines).split())
            assert {experiment.name for experiment, _ in rows} <= set(" ".join(lines).split())
            assert "…" not in "".join(lines)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_numbers_in_settings_are_not_split(width: int) -> None:
    table = settings_table(EXPERIMENTS.load("exp118"), {})
    pieces = set(" ".join(lines_of(table, width)).split())
    values = {word for cell in table.columns[1].cells for word in cell.split()}
    assert {word for word in values if re.fullmatch(r"[-\d.e+]+,?", word)} <= pieces


def test_long_names_and_paths_break_after_their_parts() -> None:
    name = "demo@lumbar-training.epochs-20-model.backbone-resnet"
    path = "/data/some/where/rsna-2024-lumbar-spine-degenerative-classification"
    table = FittedTable(
        [
            Column("run", [name], is_text=True),
            Column("of", [f"demo on {path} with folds=3"], is_text=True),
            Column("score", ["0.1234"]),
        ]
    )
    for width in (50, 60, 80):
        printed = " ".join(lines_of(table, width))
        assert {*re.findall("[a-z]+|[0-9]+", name + path)} <= {
            *re.findall("[a-z]+|[0-9]+", printed)
        }
