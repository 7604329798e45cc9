"""Experiments in tables, for 100 columns."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lsdc.cli.measured import Measured
from lsdc.experiments.config import Experiment
from lsdc.experiments.presets import changes
from lsdc.experiments.reported import Result
from lsdc.experiments.settings import settings_of

Row = tuple[Experiment, Measured | None]
_ALL_FOLDS = "all folds"
_STYLES = {"experiment": "bold", "based on": "dim", "of": "dim", "": "yellow"}
_FIGURES = ("experiment", "of", "reported", "measured", "differs", "prior", "board", "")
_BETWEEN = 2  # blanks from column to column
_MARK = len("selected,")  # a line a mark
_LEAST = 12  # of what is left for changes, on however narrow a terminal


def list_table(rows: Sequence[Row], width: int) -> Table:
    """A line an experiment; its report is out of fold where there is such a figure."""
    columns: dict[str, list[str]] = {
        "experiment": [experiment.name for experiment, _ in rows],
        "based on": [experiment.based_on or "" for experiment, _ in rows],
        "changes": [_short(changes(experiment.name)) for experiment, _ in rows],
        "reported": [_first(experiment.reported) for experiment, _ in rows],
        "of": [_of(experiment.reported) for experiment, _ in rows],
        "board": [_figure(experiment.reported.leaderboard, 2) for experiment, _ in rows],
    }
    if any(measured for _, measured in rows):
        columns["measured"] = [_figure(measured.score) if measured else "" for _, measured in rows]
        columns[""] = [_short_marks(measured) if measured else "" for _, measured in rows]
    widths = {name: max(map(len, [name, *cells])) for name, cells in columns.items()}
    if "" in widths:
        widths[""] = _MARK
    others = sum(wide for name, wide in widths.items() if name != "changes")
    widths["changes"] = min(
        widths["changes"], max(_LEAST, width - others - _BETWEEN * len(columns) - 1)
    )
    table = _table("Weighted log loss, lower is better")
    for name, wide in widths.items():
        table.add_column(
            name,
            width=wide,
            no_wrap=name != "",
            overflow="ellipsis",
            style=_STYLES.get(name, ""),
            justify="right" if name in ("reported", "board", "measured") else "left",
        )
    for cells in zip(*columns.values(), strict=True):
        table.add_row(*cells)
    return table


def figures_table(rows: Sequence[Row]) -> Table:
    """Reported beside measured: a line a fold, a line for all, a line for each rerun."""
    blocks = [_figure_lines(experiment, measured) for experiment, measured in rows]
    table = _table("Weighted log loss, lower is better")
    shown = [name for name in _FIGURES if any(line.get(name) for lines in blocks for line in lines)]
    for name in shown:
        table.add_column(
            name,
            justify="left" if name in ("experiment", "of", "") else "right",
            no_wrap=name != "",
            min_width=_MARK if name == "" else None,
            style="bold" if name == "experiment" else "yellow" if name == "" else "",
        )
    for lines in blocks:
        for line in lines:
            table.add_row(*(line.get(name, "") for name in shown))
        table.add_section()
    return table


def settings_table(experiment: Experiment, origins: Mapping[str, str]) -> Table:
    """Every setting, its value and which ancestor gave it; what nobody gave is dim."""
    table = _table("Settings")
    table.add_column("setting", no_wrap=True)
    table.add_column("value", ratio=1)
    table.add_column("from", no_wrap=True)
    section = ""
    for key, value in settings_of(experiment).items():
        if section and key.partition(".")[0] != section:
            table.add_section()
        section = key.partition(".")[0]
        origin = origins.get(key, "")
        style = "bold" if origin == experiment.name else "" if origin else "dim"
        table.add_row(key, _value(value), origin, style=style)
    return table


def differences_table(first: str, second: str, differing: Mapping[str, tuple[Any, Any]]) -> Table:
    """A line a setting that differs."""
    table = _table("")
    table.add_column("setting", no_wrap=True)
    table.add_column(first)
    table.add_column(second)
    for key, values in differing.items():
        table.add_row(key, *(_value(value) for value in values))
    return table


def print_words(console: Console, experiment: Experiment, ancestors: Sequence[str]) -> None:
    """What is said of an experiment, before its figures and settings."""
    needs = experiment.needs.model_dump().items()
    words = {
        "note": Text(experiment.note.strip()),
        "deviation": Text(experiment.deviation.strip(), style="yellow"),
        "needs": Text(", ".join(f"{what} of {name}" for what, name in needs if name)),
        "based on": Text(" < ".join(ancestors[1:]), style="dim"),
    }
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for word, said in words.items():
        if said:
            grid.add_row(word, said)
    console.print(experiment.name, style="bold", highlight=False)
    console.print(grid)


def _figure_lines(experiment: Experiment, measured: Measured | None) -> list[dict[str, str]]:
    """The cells of each fold's line, of all folds', of held-out studies', of reruns'."""
    reported = experiment.reported
    found = {} if measured is None else measured.folds
    lines = [
        {"of": f"fold {fold}", **_beside(reported.folds.get(fold), found.get(fold))}
        for fold in sorted({*reported.folds, *found})
    ]
    if reported.oof is not None or (measured and not measured.partial):
        complete = None if measured is None or measured.partial else measured.score
        lines.append({"of": _ALL_FOLDS, **_beside(reported.oof, complete)})
    if not lines:
        lines.append({"": "no figure"})
    lines[0]["experiment"] = experiment.name
    lines[-1]["board"] = _figure(reported.leaderboard, 2)
    if measured:
        lines[-1]["prior"] = _figure(measured.weighted_prior)
    lines[-1].setdefault("", _marks(reported, measured))
    if measured and measured.holdout is not None:
        lines.append(
            {
                "of": "held out",
                "measured": _figure(measured.holdout),
                "prior": _figure(measured.holdout_prior),
            }
        )
    return lines + [
        {
            "of": _ALL_FOLDS if again.oof else f"fold {min(again.folds)}",
            "reported": _first(again),
            "board": _figure(again.leaderboard, 2),
            "": _remark(again),
        }
        for again in reported.again
    ]


def _beside(reported: float | None, measured: float | None) -> dict[str, str]:
    cells = {"reported": _figure(reported), "measured": _figure(measured)}
    if reported is not None and measured is not None:
        cells["differs"] = f"{measured - reported:+.4f}"
    return cells


def _marks(reported: Result, measured: Measured | None) -> str:
    if measured is None:
        return "partial" * _is_partial(reported)
    alone = _is_partial(reported) and not measured.partial
    marks = ["report partial"] * alone + measured.marks
    return ", ".join([*marks, f"{measured.studies:,} studies"])


def _remark(result: Result) -> str:
    kept = "epochs by loss" if result.kept_by == "loss" else ""
    return ", ".join(filter(None, ["partial" * _is_partial(result), result.remark, kept]))


def _first(result: Result) -> str:
    """The figure over all folds, else the first fold's."""
    return _figure(result.oof or next(iter(result.folds.values()), None))


def _of(result: Result) -> str:
    """What there are figures of; that of `_first` is the first fold's."""
    if result.oof:
        return _ALL_FOLDS
    if _is_partial(result):
        return f"partial: {', '.join(map(str, result.folds))}"
    return f"folds 0 to {max(result.folds)}" if result.folds else ""


def _is_partial(result: Result) -> bool:
    return result.partial and bool(result.folds)


def _short_marks(measured: Measured) -> str:
    return ", ".join(mark.partition(" ")[0] for mark in measured.marks)


def _short(settings: Mapping[str, Any]) -> str:
    """Settings as a few words: the last part of their names, their values, no weights' names."""
    words = []
    for key, value in settings.items():
        name = key.rpartition(".")[2]
        words.append(
            f"{name} {_value(value).partition('.')[0] if 'backbone' in name else _value(value)}"
        )
    return ", ".join(words)


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_value, value))
    if isinstance(value, float):
        return f"{value:g}"
    return "-" if value is None else str(value)


def _figure(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _table(title: str) -> Table:
    return Table(
        box=box.SIMPLE_HEAD, title=title or None, title_justify="left", padding=(0, 1, 0, 0)
    )
