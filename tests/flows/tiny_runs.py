"""Whole runs of a tiny experiment: what the tests of each challenge's flows have in common."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.flows.conftest import Outcome, lsdc
from tests.flows.pools import installed

FOLDS = 2
RESULTS = ("oof.parquet", "scores.json", "submission.csv", "fold-0/model.safetensors")
_EXPERIMENT = ("--experiment", "tiny", "--threads", "1")


@contextmanager
def own_experiments(folder: Path, presets: str) -> Iterator[None]:
    """Set the user's experiments for the block: TOML with `tiny`."""
    path = folder / "own.toml"
    path.write_text(presets)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LSDC_PRESETS", str(path))
        yield


def run_tiny(data: Path, home: Path, *more: str, folds: int = FOLDS) -> Outcome:
    """Run `lsdc run-local` with the tiny experiment."""
    given = (*_EXPERIMENT, "--data", data, "--folds", str(folds), "--home", home)
    return lsdc("run-local", *given, *more)


def finished_home(data: Path, home: Path) -> Path:
    """Return the home of a finished run of the tiny experiment."""
    done = run_tiny(data, home)
    assert done.code == 0, done.out + done.err
    return home


def run_on_pools(data: Path, home: Path) -> set[str]:
    """Run the tiny experiment on workers; return the names of the flow runs."""
    with installed(home) as here:
        given = (*_EXPERIMENT, "--data", data, "--folds", str(FOLDS), "--watch")
        done = here.trigger("pipeline/default", *given)
        assert done.returncode == 0, done.stdout + done.stderr
        return {run["name"] for run in here.ask("flow_runs/filter", {})}
