"""What a run is about: its settings, resolved once and handed from task to task."""

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from lsdc.errors import SettingsError
from lsdc.experiments.config import Experiment
from lsdc.experiments.presets import load_experiment
from lsdc.store.home import Home, open_home, resolve_home

Device = Literal["auto", "cpu", "cuda"]


class Run(BaseModel):
    """A run's settings; frozen, JSON, and the same for all of its tasks."""

    model_config = ConfigDict(frozen=True)

    root: Path
    data: Path
    experiment: Experiment
    folds: int
    only_fold: int | None
    seed: int
    device: Device
    threads: int
    limit: int | None
    max_bad: float
    strict: bool

    @property
    def home(self) -> Home:
        """The home that the run builds in."""
        return Home(self.root)

    @property
    def folds_to_train(self) -> tuple[int, ...]:
        """All folds, or the one that was asked for."""
        return tuple(range(self.folds)) if self.only_fold is None else (self.only_fold,)


def open_run(
    *,
    experiment: str,
    data: Path | None,
    home: Path | None,
    folds: int,
    only_fold: int | None = None,
    seed: int = 0,
    device: Device = "auto",
    threads: int | None = None,
    limit: int | None = None,
    max_bad: float = 0.01,
    strict: bool = False,
) -> Run:
    """Check settings before any work is done, and open the home.

    Without `data` the run uses the phantom, whose folder the home names.

    Raises:
        SettingsError: an unknown experiment, or settings that cannot work together.
        DataError: the home cannot be used.
    """
    if folds < 2:
        raise SettingsError(f"--folds {folds}: cross-validation needs at least 2 folds")
    if only_fold is not None and not 0 <= only_fold < folds:
        raise SettingsError(f"--only-fold {only_fold}: expected 0 to {folds - 1} of {folds} folds")
    chosen = load_experiment(experiment)
    opened = open_home(resolve_home(home))
    return Run(
        root=opened.root,
        data=opened.phantom if data is None else data.expanduser().absolute(),
        experiment=chosen,
        folds=folds,
        only_fold=only_fold,
        seed=seed,
        device=device,
        threads=threads or default_threads(),
        limit=limit,
        max_bad=max_bad,
        strict=strict,
    )


def default_threads() -> int:
    """Threads of one training process: as many as there are cores to use, 8 at most."""
    return min(len(os.sched_getaffinity(0)), 8)
