"""Scores: shown in Prefect's UI and in the log once they are computed."""

import json
import logging
from typing import Any

from prefect.artifacts import create_table_artifact

from lsdc.report.scores import score_columns, score_rows
from tasks.artifacts import artifact_key, rounded, show_score, unless_refused
from tasks.run import Run

log = logging.getLogger("lsdc.progress")


def show_losses(run: Run) -> dict[str, Any]:
    """Show the run's out-of-fold scores beside the prior's, and return them."""
    folder, name, metric = run.folder, run.experiment.name, run.experiment.metric
    scores: dict[str, Any] = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    figures = (scores["score"], scores["weighted_prior"]["score"])
    log.info("out of fold: score %.4f, the %s's %.4f", figures[0], metric.prior, figures[1])
    with unless_refused():
        show_score(name, scores["score"], folder / "scores.json")
        create_table_artifact(
            [
                {metric.short: part.replace("_", " ")}
                | {
                    column: rounded(losses[part])
                    for column, losses in score_columns(scores).items()
                }
                for part in score_rows(scores)
            ],
            key=artifact_key(name, "oof"),
            description=f"{name}: out-of-fold {metric.short} beside the {metric.prior}'s",
        )
    return scores
