"""What the runs of a home measured, to stand beside what the lab log reports."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.challenges.lumbar.scoring.metric import PARTS
from lsdc.errors import SettingsError
from lsdc.experiments.reported import Result
from lsdc.experiments.settings import WORDS, flatten, settings_of
from lsdc.store.exact_names import scan_parquet
from lsdc.store.home import Home, open_home, resolve_home
from lsdc.store.runs import EXPERIMENT_FILE, list_runs, read_record


@dataclass(frozen=True)
class RunScores:
    """The scores of a run.

    Attributes:
        run: its name.
        data: its competition's folder, or the phantom; empty if an earlier version left it.
        folds: the competition's metric by fold; None where a fold has nothing to score by.
        score: over all folds that were trained.
        parts: the losses that the score is the mean of.
        weighted_prior: the weighted prior's, of the same rows.
        holdout: the score of the studies that were held out of all folds, by the mean of their
            models; None without any.
        holdout_prior: the weighted prior's, of the same rows.
        studies: how many were scored.
        partial: whether folds are missing.
        selected: whether epochs were chosen on the folds that are scored.
        changed: the settings, by dotted name, that were not the experiment's present ones.
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
        """What has to be said wherever the score is."""
        marks = [mark for mark in ("partial", "selected") if getattr(self, mark)]
        return [*marks, f"changed {', '.join(self.changed)}"] if self.changed else marks

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {**vars(self), "folds": {str(fold): score for fold, score in self.folds.items()}}


def find_home(home: Path | None) -> Home | None:
    """The home, if there is one: who asks what there is founds none."""
    root = resolve_home(home)
    return open_home(root) if (root / "home.json").is_file() else None


def scored_runs(home: Home | None) -> dict[str, str]:
    """The runs that were scored here, the last one last, and the experiment of each."""
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


def load_experiment_of(home: Home, run: str, name: str) -> Experiment:
    """The experiment of a run: as its preset is now, or was, where that is not known here.

    Raises:
        SettingsError: neither can be read.
    """
    try:
        return EXPERIMENTS.load(name)
    except SettingsError:
        try:
            return Experiment.model_validate_json((home.run(run) / EXPERIMENT_FILE).read_bytes())
        except (OSError, ValueError):
            pass
        raise


def read_run_scores(home: Home, run: str) -> RunScores:
    """The scores of a run that was scored."""
    folder, record = home.run(run), read_record(home.run(run))
    name = record.experiment if record else run
    scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    held_out = scores.get("holdout")  # which runs of before do not say
    oof = scan_parquet(folder / "oof.parquet")
    return RunScores(
        run=run,
        data=record.data if record else "",
        folds={int(fold): each["score"] for fold, each in scores["folds"].items()},
        score=scores["score"],
        parts={part: scores.get(part) for part in PARTS},
        weighted_prior=scores["weighted_prior"]["score"],
        holdout=held_out["score"] if held_out else None,
        holdout_prior=held_out["weighted_prior"]["score"] if held_out else None,
        studies=oof.select(pl.col("study_id").n_unique()).collect().item(),
        partial=scores["partial"],
        selected=scores["selected"],
        changed=_changed(folder / EXPERIMENT_FILE, name),
    )


def differences(reported: Result, measured: RunScores | None) -> dict[str, float]:
    """Measured less reported, by fold and, where both have all folds, `oof`."""
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
    """Settings that differ between a run's and the present experiment's.

    One that came up since counts as unchanged, one that is gone as changed.
    """
    if not made_with.is_file():
        return ()
    written = json.loads(made_with.read_text(encoding="utf-8"))
    then = flatten({key: value for key, value in written.items() if key not in WORDS})
    try:
        now = settings_of(EXPERIMENTS.load(name))
    except SettingsError:  # a preset of the user's that is gone, or no longer in order
        return ("all",)
    return tuple(key for key, value in then.items() if key not in now or now[key] != value)
