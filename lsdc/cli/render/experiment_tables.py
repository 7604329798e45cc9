"""Render experiments as tables."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lsdc.challenges.registry import challenge_of_experiment
from lsdc.cli.render.run_scores import RunScores
from lsdc.experiments.base import BaseExperiment
from lsdc.experiments.expected import Expected
from lsdc.experiments.reference import Setting
from lsdc.experiments.reported import Result
from lsdc.experiments.settings import settings_of
from lsdc.messages import counted
from lsdc.report.fitted_tables import Column, FittedTable

Row = tuple[BaseExperiment, RunScores | None]
_ALL_FOLDS = "all folds"
_STYLES = {"experiment": "bold", "of": "dim", "": "yellow"}
_FIGURES = ("experiment", "of", "reported", "measured", "differs", "prior", "board", "")
_BETWEEN = 2  # spaces between columns
_LEAST, _MOST = 16, 60  # width of the column of changes, at least and at most


def list_table(rows: Sequence[Row], width: int) -> FittedTable:
    """Return one line per experiment; the reported score is out of fold where there is one.

    An expected score is an estimate. The measured score is that of `RunScores.run`, which is named
    if its folder has another name.
    """
    reports = [experiment.reported for experiment, _ in rows]
    expected = [experiment.expected for experiment, _ in rows]
    of = [
        _of(report) or each.of * (each.oof is not None)
        for (report, each) in zip(reports, expected, strict=True)
    ]
    columns = [
        Column("experiment", [e.name for e, _ in rows], style="bold", is_text=True),
        Column("reported", [_first(report) for report in reports]),
        Column("of", of, style="dim", is_text=True),
        Column("board", [_figure(report.leaderboard, 2) for report in reports], rank=1),
    ]
    if any(each.oof for each in expected):
        columns.insert(1, Column("expected", [each.score_words for each in expected], is_text=True))
    if any(measured for _, measured in rows):
        scores = [_figure(measured.score) if measured else "" for _, measured in rows]
        marks = [_short_marks(measured) if measured else "" for _, measured in rows]
        columns.append(Column("measured", scores))
        if any(marks):
            columns.append(Column("measured of", marks, style="yellow", is_text=True))
        runs = [run.run if run and run.run != e.name else "" for e, run in rows]
        if any(runs):
            columns.append(Column("run", runs, is_text=True))
    columns.append(
        Column("based on", [e.based_on or "" for e, _ in rows], style="dim", is_text=True, rank=2)
    )
    room = width - sum(column.widest + _BETWEEN for column in columns) - _BETWEEN
    room = min(max(room, _LEAST), _MOST)
    changed = [_short(_changes(experiment.name), room) for experiment, _ in rows]
    columns.append(Column("changes", changed, is_text=True, rank=3))
    return FittedTable(columns, title=_title(rows))


def figures_table(rows: Sequence[Row]) -> FittedTable:
    """Return reported and measured scores side by side: a line per fold, for all, per rerun."""
    blocks = [_figure_lines(experiment, measured) for experiment, measured in rows]
    lines = [line for block in blocks for line in block]
    shown = [name for name in _FIGURES if any(line.get(name) for line in lines)]
    return FittedTable(
        [
            Column(
                name,
                [line.get(name, "") for line in lines],
                style=_STYLES.get(name, ""),
                is_text=name in ("experiment", "of", ""),
            )
            for name in shown
        ],
        title=_title(rows),
        ends=frozenset(itertools.accumulate(map(len, blocks), initial=-1)),
    )


def settings_table(experiment: BaseExperiment, origins: Mapping[str, str]) -> FittedTable:
    """Return every setting, its value and the ancestor that sets it; defaults are dim."""
    settings = settings_of(experiment)
    names = list(settings)
    given = [origins.get(name, "") for name in names]
    return FittedTable(
        [
            Column("setting", names, is_text=True),
            Column("value", [_value(value) for value in settings.values()], is_text=True),
            Column("from", given, is_text=True, rank=1),
        ],
        title="Settings",
        styles=["bold" if by == experiment.name else "" if by else "dim" for by in given],
        ends=_section_ends(names),
    )


def reference_table(
    described: Sequence[Setting], values: Mapping[str, Any] | None = None
) -> FittedTable:
    """Return each setting's values and purpose, with its default or an experiment's value."""
    shown = [
        each.default_words if values is None else _value(values[each.name]) for each in described
    ]
    return FittedTable(
        [
            Column("setting", [each.name for each in described], style="bold", is_text=True),
            Column("default" if values is None else "value", shown, is_text=True),
            Column("type", [each.takes for each in described], style="dim", is_text=True),
            Column("purpose", [each.description for each in described], is_text=True),
        ],
        ends=_section_ends([each.name for each in described]),
    )


def _section_ends(names: Sequence[str]) -> frozenset[int]:
    """Return the rows of settings that end a section."""
    sections = [name.partition(".")[0] for name in names]
    pairs = enumerate(itertools.pairwise(sections))
    return frozenset(number for number, (section, below) in pairs if section != below)


def differences_table(
    first: str, second: str, differing: Mapping[str, tuple[Any, Any]]
) -> FittedTable:
    """Return one line per setting that differs."""
    before, after = zip(*differing.values(), strict=True)
    return FittedTable(
        [
            Column("setting", list(differing), is_text=True),
            Column(first, [_value(value) for value in before], is_text=True),
            Column(second, [_value(value) for value in after], is_text=True),
        ]
    )


def print_words(console: Console, experiment: BaseExperiment, ancestors: Sequence[str]) -> None:
    """Print the description of an experiment, above its scores and settings."""
    needs = experiment.needs.model_dump().items()
    words = {
        "note": Text(experiment.note.strip()),
        "deviation": Text(experiment.deviation.strip(), style="yellow"),
        "expected": Text(_expected(experiment.expected)),
        "cost": Text(_cost(experiment.expected)),
        "needs": Text(", ".join(f"{what} of {name}" for what, name in needs if name)),
        "members": Text(", ".join(experiment.members)),
        "based on": Text(" < ".join(ancestors[1:]), style="dim"),
    }
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for word, text in words.items():
        if text:
            grid.add_row(word, text)
    console.print(experiment.name, style="bold", highlight=False)
    console.print(grid)


def _expected(expected: Expected) -> str:
    if expected.oof is None:
        return ""
    source = expected.source.strip()
    return f"{expected.score_words} ({expected.of}), an estimate, not measured. Source: {source}"


def _cost(expected: Expected) -> str:
    words = expected.cost_words
    return f"{words}; estimates, not measured" if words else ""


def _figure_lines(experiment: BaseExperiment, measured: RunScores | None) -> list[dict[str, str]]:
    """Return the cells of each line: per fold, over all folds, held-out studies, reruns."""
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
        lines.append({"": "no score"})
    lines[0]["experiment"] = measured.run if measured else experiment.name
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


def _marks(reported: Result, measured: RunScores | None) -> str:
    if measured is None:
        return "partial" * _is_partial(reported)
    alone = _is_partial(reported) and not measured.partial
    marks = ["report partial"] * alone + measured.marks
    of = f" of {measured.data}" if measured.data else ""
    return ", ".join([*marks, f"{counted(measured.studies, 'study')}{of}"])


def _remark(result: Result) -> str:
    kept = "epochs by loss" if result.kept_by == "loss" else ""
    return ", ".join(filter(None, ["partial" * _is_partial(result), result.remark, kept]))


def _first(result: Result) -> str:
    """Return the score over all folds, else the first fold's."""
    return _figure(result.oof or next(iter(result.folds.values()), None))


def _title(rows: Sequence[Row]) -> str:
    """Return the metrics of the experiments."""
    metrics = dict.fromkeys(experiment.metric for experiment, _ in rows)
    return "; ".join(metric.title for metric in metrics)


def _of(result: Result) -> str:
    """Return which folds have scores; the score of `_first` is the first fold's."""
    if result.oof:
        return _ALL_FOLDS
    if _is_partial(result):
        return f"partial: {', '.join(map(str, result.folds))}"
    return f"folds 0 to {max(result.folds)}" if result.folds else ""


def _is_partial(result: Result) -> bool:
    return result.partial and bool(result.folds)


def _changes(name: str) -> Mapping[str, Any]:
    return challenge_of_experiment(name).experiments.changes(name)


def _short_marks(measured: RunScores) -> str:
    return ", ".join(mark.partition(" ")[0] for mark in measured.marks)


def _short(settings: Mapping[str, Any], room: int) -> str:
    """Abbreviate settings: the last part of each name and its value, without weights' names.

    If they do not fit into `room`, list the first ones in full and count the others.
    """
    words = []
    for key, value in settings.items():
        name = key.rpartition(".")[2]
        words.append(
            f"{name} {_value(value).partition('.')[0] if 'backbone' in name else _value(value)}"
        )
    shown = len(words)
    while shown > 1 and len(_listed(words, shown)) > room:
        shown -= 1
    return _listed(words, shown)


def _listed(words: Sequence[str], shown: int) -> str:
    more = len(words) - shown
    return ", ".join(words[:shown]) + (f" and {more} more" if more else "")


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_value, value))
    if isinstance(value, float):
        return f"{value:g}"
    return "-" if value is None else str(value)


def _figure(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:.{digits}f}"
