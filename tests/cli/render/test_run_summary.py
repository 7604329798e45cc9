"""The summary at the end of a run."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.cli.render.run_summary import reported_line, scores_table, show_file_of_scores
from lsdc.experiments.metric import Metric


def test_score_of_the_lab_log_is_printed_and_marked_partial() -> None:
    said = {
        name: reported_line(EXPERIMENTS.load(name))
        for name in ("exp118", "exp083", "exp010", "demo")
    }
    assert "partial: fold 0 0.4143, leaderboard 0.45" in said["exp118"]
    assert "reports fold 0 0.4729, fold 1 0.4670, " in said["exp083"]
    assert "all folds 0.4876, leaderboard 0.60" in said["exp083"]
    assert said["exp010"] == said["demo"] == ""


@pytest.mark.parametrize("score", [0.6, 0.7, None])
def test_scores_are_printed_only_if_the_file_has_the_score(
    score: float | None, tmp_path: Path
) -> None:
    fold = {**of_parts(0.6), "weighted_prior": of_parts(0.9)}
    scores = {**fold, "folds": {"0": fold}, "partial": True, "selected": False, "holdout": None}
    path = tmp_path / "demo@other" / "scores.json"
    console = Console(width=80)
    with console.capture() as capture:
        show_file_of_scores(path, score, console)  # on a machine without the home
        path.parent.mkdir()
        path.write_text(json.dumps(scores))
        show_file_of_scores(path, score, console)
    printed = capture.get()
    if score == 0.6:
        assert printed.startswith("demo@other: ")
        assert "0.6000" in printed
        assert f"scores      {path}" in printed.replace("\n", "")
    else:
        assert printed == ""


def of_parts(value: float) -> dict[str, float]:
    names = ("score", "spinal", "foraminal", "subarticular", "any_severe_spinal")
    return dict.fromkeys(names, value)


def test_held_out_studies_have_separate_columns() -> None:
    fold = {**of_parts(0.6), "weighted_prior": of_parts(0.9)}
    scores = {**fold, "folds": {"0": fold, "1": fold}, "partial": False, "selected": True}
    held_out = {**of_parts(0.7123), "weighted_prior": of_parts(0.8456), "studies": 4, "models": 2}

    def printed(holdout: object) -> str:
        console = Console(width=80)
        with console.capture() as capture:
            console.print(scores_table({**scores, "holdout": holdout}, "demo", Metric()))
        return capture.get()

    said = printed(held_out)
    assert "held out" in said
    assert said.count("0.7123") == said.count("0.8456") == 5
    assert "held out" not in printed(None)
