"""The table printed at the end of a run: scores by fold and overall, and the prior's."""

import json
import shlex
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console

from lsdc.challenges.challenge import Challenge
from lsdc.challenges.registry import challenge_of_record
from lsdc.experiments.base import BaseExperiment
from lsdc.experiments.metric import Metric
from lsdc.report import REPORT
from lsdc.report.fitted_tables import Column, FittedTable
from lsdc.report.scores import score_columns, score_rows
from lsdc.store.exact_names import scan_parquet
from lsdc.store.runs import read_record
from tasks.identity import needed_run
from tasks.run import Run
from tasks.status.rows import Rows


def show_results(run: Run, challenge: Challenge, console: Console, log: Path, rows: Rows) -> None:
    """Print the scores, the corrections, the paths of all results and what was reused."""
    none = {
        "submission": f"none: no rows in {challenge.sample_submission}",
        "report": "none: could not be written, see the log"
        if challenge.brings("write_report")
        else f"none: not available for {challenge.title}",
    }
    console.print(scores_table(_scores(run), run.name, run.experiment.metric))
    if reported := reported_line(run.experiment):
        console.print(reported, style="dim", highlight=False, soft_wrap=True)
    for line in challenge.summarise(run):
        console.print(line, style="dim", highlight=False, soft_wrap=True)
    for what, path in _files(run, log).items():  # in full, to be copied
        console.print(
            f"{what:<12}{path or none[what]}", style="dim", highlight=False, soft_wrap=True
        )
    console.print(f"{'stages':<12}{_reused(rows)}", style="dim", highlight=False, soft_wrap=True)
    for line in _next_commands(run, inspects=challenge.brings("inspect")):
        console.print(line, highlight=False, soft_wrap=True)


def results_of(run: Run, log: Path, rows: Rows) -> dict[str, Any]:
    """Return the results of a run as JSON values: scores, files, and what was reused."""
    kept, all_ = rows.reused
    return {
        "run": run.name,
        "experiment": run.experiment.name,
        "scores": _scores(run),
        "files": {what: path and str(path) for what, path in _files(run, log).items()},
        "stages": {"computed": all_ - kept, "kept": kept},
    }


def _scores(run: Run) -> dict[str, Any]:
    scores: dict[str, Any] = json.loads((run.folder / "scores.json").read_text(encoding="utf-8"))
    return scores


def _files(run: Run, log: Path) -> dict[str, Path | None]:
    """Return the files of a run by what they hold; None for a file that was not written."""
    # Without rows to predict, an existing submission is another run's.
    submission = run.folder / "submission.csv" if run.has_test else None
    report = run.folder / REPORT
    return {
        "out of fold": run.folder / "oof.parquet",
        "scores": run.folder / "scores.json",
        "submission": submission,
        "report": report if report.is_file() else None,
        "catalog": run.home.catalog,
        "log": log,
    }


def show_file_of_scores(path: Path, score: float | None, console: Console) -> None:
    """Print the scores of a run with this score, if the file of its scores is on this machine."""
    try:
        scores = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # the home is elsewhere
        return
    if scores["score"] == score:  # else another host's home has this path
        challenge = challenge_of_record(read_record(path.parent))
        metric = challenge.experiments.config.metric
        console.print(scores_table(scores, path.parent.name, metric))
        console.print(f"{'scores':<12}{path}", style="dim", highlight=False, soft_wrap=True)


def _reused(rows: Rows) -> str:
    """Return how many stages used a stored result, and how many were computed."""
    kept, all_ = rows.reused
    if kept == all_:
        return f"all {all_} unchanged and kept; nothing was computed"
    return f"{all_ - kept} of {all_} computed, {kept or 'none'} unchanged and kept"


def _next_commands(run: Run, *, inspects: bool) -> list[str]:
    """Return commands to try next, ready to type; `inspects`: whether studies can be drawn."""
    home = shlex.quote(str(run.home.root))
    if not inspects:
        return [f"{'next':<12}lsdc ui --home {home}"]
    oof = scan_parquet(run.folder / "oof.parquet")
    study = oof.select(pl.col("study_id").first()).collect().item()
    members = run.experiment.members
    shown = needed_run(run, members[0]) if members else run.name  # an ensemble has no crops
    return [
        f"{'next':<12}lsdc inspect {study} --experiment {shown} --home {home}",
        f"{'':<12}lsdc ui --home {home}",
    ]


def reported_line(experiment: BaseExperiment) -> str:
    """Return the lab log's score of the experiment, else the expected one; empty without any."""
    reported = experiment.reported
    figures = [f"fold {fold} {score:.4f}" for fold, score in reported.folds.items()]
    if reported.oof is not None:
        figures.append(f"all folds {reported.oof:.4f}")
    if reported.leaderboard is not None:
        figures.append(f"leaderboard {reported.leaderboard:.2f}")
    if not figures:
        expected = experiment.expected
        if expected.oof is None:
            return ""
        score = f"{expected.score_words} ({expected.of})"
        return f"expected on the competition's data: {score}, an estimate"
    partial = "partial: " if reported.partial else ""
    return f"the lab log reports {partial}{', '.join(figures)}, on its own folds and studies"


def scores_table(scores: dict[str, Any], name: str, metric: Metric) -> FittedTable:
    """Return the losses and the score: a column per fold, for all folds and the prior.

    Held-out studies, if any, add a column for themselves and one for their prior.
    """
    parts = score_rows(scores)
    marks = [mark for mark in ("partial", "selected", "leaky") if scores.get(mark)]
    title = (
        f"{name}: out-of-fold {metric.short} and the {metric.prior}'s, {metric.direction} is better"
    )
    losses = [
        Column(
            heading,
            [_loss(losses[part]) for part in parts],
            style="bold" if heading in ("all", "held out") else "",
        )
        for heading, losses in score_columns(scores).items()
    ]
    return FittedTable(
        [Column("", [part.replace("_", " ") for part in parts], is_text=True), *losses],
        title=" · ".join([title, *marks]),
        styles=["bold" if part == "score" else "" for part in parts],
        ends=frozenset([len(parts) - 2]),
    )


def _loss(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
