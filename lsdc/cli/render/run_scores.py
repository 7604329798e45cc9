"""The scores of a home's runs, for comparison with those reported in the lab log."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsdc.challenges.registry import challenge_of_record, load_experiment
from lsdc.errors import SettingsError
from lsdc.experiments.base import BaseExperiment
from lsdc.experiments.reported import Result
from lsdc.experiments.settings import WORDS, flatten
from lsdc.report.scores import score_rows
from lsdc.store.exact_names import scan_parquet
from lsdc.store.home import Home, open_home, resolve_home
from lsdc.store.runs import EXPERIMENT_FILE, list_runs, read_record


@dataclass(frozen=True)
class RunScores:
    """The scores of a run.

    Attributes:
        run: the run's name.
        data: the competition's folder, or the phantom; empty if not recorded by an earlier version.
        folds: the competition's metric by fold; None for a fold without rows to score.
        score: the metric over all trained folds.
        parts: the losses whose mean is the score.
        weighted_prior: the score of the weighted prior on the same rows.
        holdout: the score of the studies held out of all folds, by the mean of the folds'
            models; None without any.
        holdout_prior: the score of the weighted prior on the held-out rows.
        studies: the number of scored studies.
        partial: whether folds are missing.
        selected: whether epochs were chosen on the scored folds.
        changed: the dotted names of settings that differ from the experiment's present ones.
    """

    run: str
    data: str
    folds: dict[int, float | None]
    score: float | None
    parts: dict[str, float | None]
    weighted_prior: float | None
    holdout: float | None
    holdout_prior: float | None
    studies: int
    partial: bool
    selected: bool
    changed: tuple[str, ...]

    @property
    def marks(self) -> list[str]:
        """The caveats that must accompany the score."""
        marks = [mark for mark in ("partial", "selected") if getattr(self, mark)]
        return [*marks, f"changed {', '.join(self.changed)}"] if self.changed else marks

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {**vars(self), "folds": {str(fold): score for fold, score in self.folds.items()}}


def find_home(home: Path | None) -> Home | None:
    """Return the home if it exists; do not create one."""
    root = resolve_home(home)
    return open_home(root) if (root / "home.json").is_file() else None


def scored_runs(home: Home | None) -> dict[str, str]:
    """Return the experiment of each scored run in the home, the latest run last."""
    if home is None:
        return {}
    scored = {
        name: record.experiment if record else name
        for name, record in list_runs(home).items()
        if (home.run(name) / "scores.json").is_file()
    }
    return dict(
        sorted(scored.items(), key=lambda run: (home.run(run[0]) / "scores.json").stat().st_mtime)
    )


def load_experiment_of(home: Home, run: str, name: str) -> BaseExperiment:
    """Load a run's experiment: the present preset, or the recorded one if unknown here.

    Raises:
        SettingsError: neither can be read.
    """
    try:
        return load_experiment(name)
    except SettingsError:
        config = challenge_of_record(read_record(home.run(run))).experiments.config
        try:
            written: BaseExperiment = config.model_validate_json(
                (home.run(run) / EXPERIMENT_FILE).read_bytes()
            )
        except (OSError, ValueError):
            pass
        else:
            return written
        raise


def read_run_scores(home: Home, run: str) -> RunScores:
    """Read the scores of a scored run."""
    import polars as pl  # as slow to import as the command itself

    folder, record = home.run(run), read_record(home.run(run))
    name = record.experiment if record else run
    scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    held_out = scores.get("holdout")  # absent from runs of earlier versions
    oof = scan_parquet(folder / "oof.parquet")
    return RunScores(
        run=run,
        data=record.data if record else "",
        folds={int(fold): each["score"] for fold, each in scores["folds"].items()},
        score=scores["score"],
        parts={part: scores.get(part) for part in score_rows(scores)[:-1]},
        weighted_prior=scores["weighted_prior"]["score"],
        holdout=held_out["score"] if held_out else None,
        holdout_prior=held_out["weighted_prior"]["score"] if held_out else None,
        studies=oof.select(pl.col("study_id").n_unique()).collect().item(),
        partial=scores["partial"],
        selected=scores["selected"],
        changed=_changed(folder / EXPERIMENT_FILE, name),
    )


def differences(reported: Result, measured: RunScores | None) -> dict[str, float]:
    """Return measured minus reported, by fold and, where both have all folds, `oof`."""
    if measured is None:
        return {}
    found = {
        str(fold): score - reported.folds[fold]
        for fold, score in measured.folds.items()
        if score is not None and fold in reported.folds
    }
    if reported.oof is not None and measured.score is not None and not measured.partial:
        found["oof"] = measured.score - reported.oof
    return found


def _changed(made_with: Path, name: str) -> tuple[str, ...]:
    """Return the settings that differ between a run's experiment and the present one.

    Settings added since count as unchanged, removed ones as changed.
    """
    if not made_with.is_file():
        return ()
    written = json.loads(made_with.read_text(encoding="utf-8"))
    then = flatten({key: value for key, value in written.items() if key not in WORDS})
    try:
        now = flatten(load_experiment(name).model_dump(mode="json", exclude=set(WORDS)))
    except SettingsError:  # a user's preset that was removed or became invalid
        return ("all",)
    return tuple(key for key, value in then.items() if key not in now or now[key] != value)
