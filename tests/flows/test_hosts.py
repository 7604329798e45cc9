"""Two hosts (two homes) with a shared bucket: each result is computed on one of them only."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import fsspec
import polars as pl
import psutil
import pytest

from tests.flows.conftest import lsdc
from tests.flows.pools import SECONDS, installed
from tests.flows.test_run_local import BEFORE_TRAINING, TEST_SIDE

# Folds one after the other, on one thread, so that results are bit-identical.
ASKED = (
    *("--folds", "2", "--threads", "1"),
    *("--set", "training.epochs=8", "--set", "coordinates.epochs=1"),
)


@pytest.fixture
def store(bucket: str, database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make all commands use a bucket with locks."""
    monkeypatch.setenv("LSDC_STORE", f"{bucket}/lsdc")
    monkeypatch.setenv("LSDC_DATABASE_URL", database)
    return f"{bucket}/lsdc"


def arguments(data: Path, home: Path) -> tuple[str | Path, ...]:
    return ("run-local", "--data", data, "--home", home, *ASKED)


def undisturbed(data: Path, home: Path) -> bytes:
    """Return the out-of-fold table of a run without a store."""
    with pytest.MonkeyPatch.context() as alone:
        alone.delenv("LSDC_STORE")
        outcome = lsdc(*arguments(data, home))
    assert outcome.code == 0, outcome.out + outcome.err
    return (home / "runs/demo/oof.parquet").read_bytes()


def catalog(home: Path) -> dict[str, tuple[list[str], str]]:
    """Return the catalog's tables: their columns, and their sorted rows as text, as NaN != NaN.

    When a run was published is each host's own.
    """
    with duckdb.connect(str(home / "catalog.duckdb"), read_only=True) as connection:
        names = [name for (name,) in connection.execute("SHOW TABLES").fetchall()]
        every = "COLUMNS(lambda name: name <> 'published')"
        tables = {
            name: connection.sql(f'SELECT {every} FROM "{name}" ORDER BY ALL') for name in names
        }
        return {name: (table.columns, str(table.fetchall())) for name, table in tables.items()}


def headers_read(home: Path) -> int:
    """Return the number of files whose headers the host has read."""
    kept = [*(home / "headers").rglob("[0-9]*.parquet")]
    return len(pl.read_parquet(kept)) if kept else 0


def files(data: Path, split: str) -> int:
    return sum(1 for _ in (data / f"{split}_images").rglob("*.dcm"))


def kill_when_a_checkpoint_is_published(data: Path, home: Path, store: str) -> None:
    """Start a run on a host and kill it once a checkpoint is published."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "lsdc", *map(str, arguments(data, home))],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    system = fsspec.filesystem("s3", use_listings_cache=False)
    deadline = time.monotonic() + SECONDS
    while not system.find(f"{store}/checkpoints"):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    family = [*psutil.Process(process.pid).children(recursive=True), process]
    for each in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    process.wait()


@pytest.mark.slow_training
def test_another_host_resumes_the_run_of_a_lost_host(
    phantom: Path, store: str, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    expected = undisturbed(phantom, tmp_path / "alone")
    kill_when_a_checkpoint_is_published(phantom, one, store)

    went_on = lsdc(*arguments(phantom, two))
    assert went_on.code == 0, went_on.out + went_on.err
    # All files, also those of test studies, are read before training.
    assert went_on.ran.isdisjoint([*BEFORE_TRAINING, "index test"])
    assert headers_read(two) == 0
    begun = [
        [process["from_epoch"] for process in json.loads(path.read_text())["processes"]]
        for path in sorted((two / "runs/demo").glob("fold-*/fit.json"))
    ]
    assert begun[1] == [1]
    assert begun[0][0] == 1 < begun[0][1]
    assert (two / "runs/demo/oof.parquet").read_bytes() == expected

    # The first host is back and finds everything done.
    back = lsdc(*arguments(phantom, one))
    assert back.code == 0, back.out + back.err
    assert headers_read(one) == files(phantom, "train") + files(phantom, "test")
    made = {*BEFORE_TRAINING, *TEST_SIDE, "fold 0", "fold 1", "oof", "predict", "submission"}
    assert back.ran.isdisjoint(made)
    assert (one / "runs/demo/oof.parquet").read_bytes() == expected
    for name in ("submission.csv", "scores.json", "fold-0/model.safetensors", "fold-1/fit.json"):
        mine, theirs = one / "runs/demo" / name, two / "runs/demo" / name
        assert mine.read_bytes() == theirs.read_bytes()
    first, second = catalog(one), catalog(two)
    assert first.keys() == second.keys()
    for name, table in first.items():
        assert table == second[name], name


@contextlib.contextmanager
def worker(pool: str, home: Path, api: str) -> Iterator[None]:
    """Run a host's workers of a pool during the block."""
    process = subprocess.Popen(
        [*(sys.executable, "-P", "-m", "lsdc", "worker", "--pool", pool, "--home", str(home))],
        env=os.environ | {"PREFECT_API_URL": api},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(SECONDS)


@pytest.mark.slow_prefect
def test_folds_trained_on_another_host_are_scored_here(
    phantom: Path, store: str, tmp_path: Path
) -> None:
    head, one, two = (tmp_path / name for name in ("head", "one", "two"))
    with (
        installed(head, "--no-workers") as here,
        worker("lsdc-cpu", one, here.api),
        worker("lsdc-gpu", two, here.api),
    ):
        begun = here.trigger("train-folds/default", "--data", phantom, *ASKED)
        assert begun.returncode == 0, begun.stderr
        run_id = begun.stdout.splitlines()[0].rpartition("/")[2]
        children = here.until(lambda: len(found := here.children(run_id)) == 3 and found)
        for child in children.values():  # two folds, and the coordinates
            assert here.ended(child["id"])["state_type"] == "COMPLETED"
        run = here.ended(run_id)
        assert run["state_type"] == "COMPLETED", run["state"]["message"]

    assert (one / "runs/demo/oof.parquet").is_file()
    assert not (two / "runs/demo/oof.parquet").exists()
    for fold in range(2):
        mine, theirs = (home / f"runs/demo/fold-{fold}/fit.json" for home in (one, two))
        assert mine.read_bytes() == theirs.read_bytes()
        assert (theirs.parent / "tensorboard").is_dir()  # trained there
        assert not (mine.parent / "tensorboard").exists()
