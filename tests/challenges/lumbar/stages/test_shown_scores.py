"""The scores in Prefect's artifacts."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.challenges.lumbar.scoring.metric import ROWS
from lsdc.challenges.lumbar.stages import oof
from tasks.common import scores as scores_of
from tasks.request import RunRequest
from tasks.run import open_run


def test_scores_of_held_out_studies_are_in_the_artifacts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[list[dict[str, Any]]] = []
    monkeypatch.setattr(scores_of, "create_table_artifact", lambda rows, **_: shown.append(rows))
    score: list[tuple[Any, ...]] = []
    monkeypatch.setattr(scores_of, "show_score", lambda *given: score.append(given))
    monkeypatch.setattr(oof, "create_markdown_artifact", lambda *_, **__: None)
    run = open_run(
        LumbarRun, RunRequest.of(experiment="demo", data=None, home=tmp_path / "home", folds=2)
    )
    run.folder.mkdir(parents=True)
    losses = {**dict.fromkeys(ROWS, 0.5), "weighted_prior": dict.fromkeys(ROWS, 0.9)}
    scores = {**losses, "folds": {"0": losses}, "holdout": losses}
    (run.folder / "scores.json").write_text(json.dumps(scores))
    columns = {"label": pl.Int8, "condition": pl.String} | dict.fromkeys(PROBABILITIES, pl.Float64)
    pl.DataFrame(schema=columns).write_parquet(run.folder / "oof.parquet")
    oof.show_scores(run)
    assert score == [("demo", 0.5, run.folder / "scores.json")]
    (rows,) = shown
    assert [row.pop("log loss") for row in rows] == [row.replace("_", " ") for row in ROWS]
    values = {"fold 0": 0.5, "all": 0.5, "prior": 0.9, "held out": 0.5, "its prior": 0.9}
    assert rows == [values] * len(ROWS)
