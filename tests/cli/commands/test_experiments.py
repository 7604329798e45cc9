"""`lsdc experiments` on the command line."""

import itertools
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.challenges.registry import CHALLENGES, challenge_of_experiment, experiment_names
from lsdc.cli.commands.experiments import experiments
from lsdc.errors import SettingsError
from lsdc.store.home import open_home
from lsdc.store.runs import RunRecord

PARTS = ("spinal", "foraminal", "subarticular", "any_severe_spinal")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home with scores of exp118 (fold 0), exp083 (all) and exp001 (other epochs)."""
    root = tmp_path / "home"
    open_home(root)
    write_run(root, "exp118", {"0": 0.5143}, score=0.5143, partial=True)
    whole = dict(zip("0123", (0.47, 0.48, 0.5, 0.49), strict=True))
    write_run(root, "exp083", whole, score=0.4976, selected=True)
    write_run(root, "exp001", {"0": 0.6}, score=0.6, partial=True, settings=["training.epochs=2"])
    return root


def write_run(
    root: Path,
    name: str,
    folds: dict[str, float],
    *,
    score: float,
    partial: bool = False,
    selected: bool = False,
    settings: list[str] | None = None,
    holdout: float | None = None,
) -> None:
    """Write the results of a run: its scores, its predictions and its settings."""
    folder = root / "runs" / name
    folder.mkdir(parents=True)
    parts = dict.fromkeys(PARTS, 0.5)
    prior = {"weighted_prior": {"score": 0.79, **parts}}
    scores = {
        "score": score,
        **parts,
        **prior,
        "folds": {fold: {"score": value, **parts, **prior} for fold, value in folds.items()},
        "partial": partial,
        "selected": selected,
        "holdout": None if holdout is None else {"score": holdout, **parts, **prior},
    }
    (folder / "scores.json").write_text(json.dumps(scores))
    pl.DataFrame({"study_id": [1, 1, 2]}).write_parquet(folder / "oof.parquet")
    (folder / "experiment.json").write_text(
        EXPERIMENTS.load(name, settings or []).model_dump_json()
    )


def typed(*words: object) -> str:
    result = CliRunner().invoke(
        experiments, [str(word) for word in words], catch_exceptions=False, env={"COLUMNS": "100"}
    )
    assert result.exit_code == 0, result.output
    return result.stdout


def listed(*words: object) -> dict[str, Any]:
    return {row["name"]: row for row in json.loads(typed(*words, "--json"))}


def line_of(name: str, printed: str) -> str:
    return next(line for line in printed.splitlines() if line.split()[:1] == [name])


def test_list_has_reported_and_measured_scores_of_every_experiment(home: Path) -> None:
    rows = listed("list", "--home", home)
    assert list(rows) == experiment_names()
    row = rows["exp118"]
    assert row["based_on"] == "exp114"
    assert row["changes"] == {"model.slice_pool": "attention"}
    assert row["reported"]["folds"] == {"0": 0.4143}
    assert row["reported"]["partial"] is True
    assert row["measured"]["folds"] == {"0": 0.5143}
    assert row["measured"]["partial"] is True
    assert row["measured"]["studies"] == 2
    assert row["differences"] == {"0": pytest.approx(0.1)}
    assert rows["exp083"]["differences"]["oof"] == pytest.approx(0.01)
    assert rows["exp117"]["measured"] is None


def test_tables_fit_100_columns_and_mark_partial_selected_and_changed_scores(home: Path) -> None:
    printed = typed("list", "--all", "--home", home)
    assert max(map(len, printed.splitlines())) <= 100
    assert (
        line_of("exp118", printed).count("partial") == 2
    )  # the reported score, and the measured one
    assert "partial" not in line_of("exp083", printed)
    assert "selected" in line_of("exp083", printed)
    assert printed.count("changed") == 1
    assert "all folds" in line_of("exp083", printed)
    for name in EXPERIMENTS.names():
        assert line_of(name, printed)
    for words in (["compare"], ["show", "exp087"], ["diff", "exp001", "exp187"]):
        printed = typed(
            *words, *(["--home", home] if words != ["diff", "exp001", "exp187"] else [])
        )
        assert max(map(len, printed.splitlines())) <= 100


def test_expected_scores_are_shown_as_estimates_with_source_and_cost(home: Path) -> None:
    printed = " ".join(typed("show", "winners-joint", "--home", home).split())
    assert "0.385 to 0.395 (all folds), an estimate, not measured. Source: 14th" in printed
    assert "2.4 to 4 hours for four folds on one GPU, 8 to 10 GB of its memory" in printed
    assert "reported" not in printed
    line = line_of("winners-joint", typed("list", "--home", home))
    assert line.split()[1:4] == ["0.385", "to", "0.395"]
    rows = listed("list", "--home", home)
    assert rows["winners-joint"]["expected"]["oof"] == [0.385, 0.395]
    assert rows["winners-joint"]["reported"]["oof"] is None
    assert rows["exp118"]["expected"]["oof"] is None


def test_list_has_own_measured_and_recommended_experiments(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('[mine]\nbased_on = "demo"\n')
    monkeypatch.setenv("LSDC_PRESETS", str(mine))
    printed = typed("list", "--home", home)
    recommended = [name for challenge in CHALLENGES for name in challenge.recommended]
    shown = ["mine", "exp001", "exp083", "exp118", *recommended]
    lines = [line.split()[0] for line in printed.splitlines() if line.strip()]
    assert {*lines} >= {*shown}
    assert len([name for name in experiment_names() if name in lines]) == len({*shown})
    more = len(experiment_names()) - len({*shown})
    assert f"--all lists {more} more" in printed


def test_list_names_the_newest_run_if_its_folder_has_another_name(home: Path) -> None:
    assert "exp118@" not in typed("list", "--home", home)
    write_run(home, "exp114", {"0": 0.41}, score=0.41, partial=True)
    run = (home / "runs" / "exp114").rename(home / "runs" / "exp118@other")
    record = RunRecord(
        experiment="exp118", data="/data", tables=None, settings={}, begun=datetime.now(UTC)
    )
    (run / "run.json").write_text(record.model_dump_json())
    later = time.time() + 10
    os.utime(run / "scores.json", (later, later))
    words = line_of("exp118", typed("list", "--home", home)).split()
    assert "exp118@other" in words
    assert "0.4100" in words


def test_list_is_sorted_as_requested(home: Path) -> None:
    assert next(iter(listed("list", "--sort", "oof", "--home", home))) == "exp187"
    assert next(iter(listed("list", "--sort", "leaderboard", "--home", home))) == "exp114"
    assert next(iter(listed("list", "--sort", "fold", "--home", home))) == "exp127"
    by_measured = list(listed("list", "--sort", "measured", "--home", home))
    assert by_measured[:3] == ["exp083", "exp118", "exp001"]
    assert sorted(experiment_names()) == list(listed("list", "--sort", "name", "--home", home))


def test_scores_of_two_challenges_are_not_sorted_among_each_other(home: Path) -> None:
    for order in ("oof", "leaderboard", "fold", "measured"):
        names = list(listed("list", "--sort", order, "--home", home))
        challenges = [challenge_of_experiment(name).name for name in names]
        assert [key for key, _ in itertools.groupby(challenges)] == [c.name for c in CHALLENGES]


def test_the_highest_score_comes_first_where_higher_is_better(home: Path) -> None:
    names = [name for name in listed("list", "--sort", "oof", "--home", home) if name[:4] == "ink-"]
    assert names[0] == "ink-second-swinv2-3x9"
    printed = typed("compare", "ink-second", "ich-exp00", "--home", home)
    assert "F0.5, higher is better; Weighted log loss, lower is better" in printed


def test_no_measured_scores_without_a_home(tmp_path: Path) -> None:
    assert "measured" not in typed("list", "--home", tmp_path / "nowhere")
    assert "No run here has scores" in typed("compare", "--home", tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_compare_shows_measured_scores_by_fold(home: Path) -> None:
    assert list(listed("compare", "--home", home)) == ["exp001", "exp083", "exp118"]
    printed = typed("compare", "exp083", "exp118", "--home", home)
    assert "+0.0100" in next(line for line in printed.splitlines() if "all folds" in line)
    assert "0.4729" in line_of("exp083", printed)
    assert "0.4700" in line_of("exp083", printed)
    assert "partial" in line_of("exp118", printed)
    assert "rerun" in printed
    assert "exp001" not in printed
    assert "training.epochs" in typed("compare", "exp001", "--home", home)
    assert "changed" in typed("compare", "exp001", "--home", home)


def test_held_out_studies_have_a_separate_line(home: Path) -> None:
    write_run(home, "exp178", {"0": 0.4, "1": 0.5}, score=0.45, holdout=0.5123)
    printed = typed("compare", "exp178", "exp083", "--home", home)
    (line,) = (line for line in printed.splitlines() if "held out" in line)
    assert line.split() == ["held", "out", "0.5123", "0.7900"]
    rows = listed("compare", "--home", home)
    assert rows["exp178"]["measured"]["holdout"] == 0.5123
    assert rows["exp083"]["measured"]["holdout"] is None


def test_partial_scores_are_not_compared_with_scores_of_all_folds(home: Path) -> None:
    write_run(home, "exp187", {"0": 0.4, "1": 0.4}, score=0.4, partial=True)
    assert listed("compare", "exp187", "--home", home)["exp187"]["differences"] == {}


def test_show_has_every_setting_and_its_origin(home: Path) -> None:
    printed = typed("show", "exp178", "--home", home)
    assert line_of("needs.labels", printed).split() == ["needs.labels", "exp114", "exp178"]
    assert line_of("crops.sagittal_window", printed).split()[1:] == ["0.12", "exp078"]
    assert line_of("crops.tilt", printed).split()[1:] == ["False"]
    assert "labels of exp114" in printed
    assert "deviation" in printed
    (row,) = listed("show", "exp178").values()
    assert row["settings"]["training.learning_rate"] == 4e-4
    assert row["lineage"][:3] == ["exp178", "exp118", "exp114"]


def test_diff_lists_the_settings_that_differ() -> None:
    assert listed("diff", "exp118", "exp171") == {
        "augment.vertical_flip": {"name": "augment.vertical_flip", "a": 0.0, "b": 0.5},
        "augment.shift_scale_rotate": {"name": "augment.shift_scale_rotate", "a": 0.0, "b": 0.5},
        "training.learning_rate": {"name": "training.learning_rate", "a": 4e-4, "b": 2e-4},
    }
    assert line_of("training.learning_rate", typed("diff", "exp118", "exp171")).split()[1:] == [
        "0.0004",
        "0.0002",
    ]
    assert "the same settings" in typed("diff", "exp118", "exp164")


@pytest.mark.parametrize("words", [("show", "exp1188"), ("diff", "exp118", "exp1188")])
def test_unknown_name_is_refused_with_the_closest_match(words: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError, match="no experiment is called 'exp1188'; did you mean"):
        typed(*words)


def test_run_of_a_deleted_preset_is_still_listed(home: Path, tmp_path: Path) -> None:
    write_run(home, "exp114", {"0": 0.4}, score=0.4, partial=True)
    run = (home / "runs" / "exp114").rename(home / "runs" / "mine")
    was = json.loads((run / "experiment.json").read_text())
    (run / "experiment.json").write_text(json.dumps(was | {"name": "mine", "based_on": "gone"}))
    mine = listed("compare", "--home", home)["mine"]
    assert (mine["changes"], mine["measured"]["score"]) == (None, 0.4)
    assert "0.4" in line_of("mine", typed("compare", "--home", home))
