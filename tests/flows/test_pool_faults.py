"""What ends under a run on worker pools, and what becomes of the run."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import psutil
import pytest

from tests.flows.conftest import lsdc
from tests.flows.pools import Installation, installed

pytestmark = pytest.mark.slow_prefect

# Long enough to be met amid its epochs; one thread, so that the bits can be compared.
TRAINING = ("--folds", "2", "--set", "training.epochs=40", "--threads", "1")
TRAINER, SERVER, WORKER = "lsdc.lumbar.fit_child", "lsdc.cli.server_child", "lsdc.cli.worker_child"


@pytest.fixture(scope="module")
def undisturbed(ran, tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """The out-of-fold table of a run that nothing happens to."""
    home = tmp_path_factory.mktemp("undisturbed") / "home"
    shutil.copytree(ran.home, home)
    outcome = lsdc("run-local", "--data", ran.data, "--home", home, *TRAINING)
    assert outcome.code == 0, outcome.out + outcome.err
    return pl.read_parquet(home / "runs/demo/oof.parquet")


@pytest.fixture
def here(ran, tmp_path: Path) -> Iterator[Installation]:
    """An installation in which all is done but training."""
    shutil.copytree(ran.home, tmp_path / "home")
    with installed(tmp_path / "home") as installation:
        yield installation


def begin(here: Installation, data: Path) -> str:
    """Start training the folds; returns once the first has saved itself and goes on."""
    begun = here.trigger("train-folds/default", "--data", data, *TRAINING)
    assert begun.returncode == 0, begun.stderr
    here.until((here.home / "runs/demo/fold-0/resume.pt").is_file)
    return begun.stdout.splitlines()[0].rpartition("/")[2]


def gpu_worker(here: Installation) -> psutil.Process:
    """The worker that trains."""
    (worker,) = [each for each in here.processes(WORKER) if "lsdc-gpu" in each.cmdline()]
    return worker


def begun_at(here: Installation, fold: int) -> list[int]:
    """The epochs from which a fold's training processes went on."""
    fit = json.loads((here.home / f"runs/demo/fold-{fold}/fit.json").read_text())
    return [process["from_epoch"] for process in fit["processes"]]


@pytest.mark.parametrize("what", ["training", "worker", "worker and run", "server", "parent"])
def test_killed_part_costs_one_retry_at_most_and_no_bit(
    what: str, ran, here: Installation, undisturbed: pl.DataFrame
) -> None:
    run_id = begin(here, ran.data)
    if what == "training":
        killed = here.processes(TRAINER)
    elif what == "worker":
        killed = [gpu_worker(here)]
    elif what == "worker and run":
        worker = gpu_worker(here)
        killed = [worker, *worker.children(recursive=True)]
    elif what == "server":
        killed = here.processes(SERVER)
    else:
        (worker,) = [each for each in here.processes(WORKER) if "lsdc-cpu" in each.cmdline()]
        killed = worker.children(recursive=True)
    assert killed
    for process in killed:
        process.kill()
    if here.ended(run_id)["state_type"] != "COMPLETED":
        here.retry(run_id)
    assert here.until(lambda: here.run(run_id)["state_type"] == "COMPLETED")

    assert pl.read_parquet(here.home / "runs/demo/oof.parquet").equals(undisturbed)
    assert begun_at(here, 1) == [1]
    if what in ("training", "worker", "worker and run"):
        first, again = begun_at(here, 0)
        assert first == 1 < again


def test_cancelled_training_saves_itself_and_goes_on_after_retry(ran, here: Installation) -> None:
    run_id = begin(here, ran.data)
    trainers = here.processes(TRAINER)
    here.cancel(run_id)
    assert here.ended(run_id)["state_type"] == "CANCELLED"
    children = here.until(
        lambda: all(child["state_type"] == "CANCELLED" for child in here.children(run_id).values())
    )
    assert children
    _, alive = psutil.wait_procs(trainers, timeout=60)
    assert alive == []
    assert here.processes(TRAINER) == []
    assert (here.home / "runs/demo/fold-0/resume.pt").is_file()

    here.retry(run_id)
    assert here.ended(run_id)["state_type"] == "COMPLETED"
    first, again = begun_at(here, 0)
    assert first == 1 < again


def test_two_triggers_of_the_same_run_train_each_fold_once(ran, here: Installation) -> None:
    run_ids = [begin(here, ran.data) for _ in range(2)]
    assert {here.ended(run_id)["state_type"] for run_id in run_ids} == {"COMPLETED"}
    assert [begun_at(here, fold) for fold in range(2)] == [[1], [1]]
