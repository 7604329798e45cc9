"""Faults of runs on worker pools: killed processes, full disks, changed data, passwords."""

import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import pytest

from lsdc.store.files import digest_file
from lsdc.store.home import Home, build_lock, find_leftovers, open_home
from tests.benchmarks import require_figures, run_benchmark
from tests.flows.conftest import lsdc
from tests.flows.faults import (
    KINDS,
    PASSWORD,
    PG,
    TRAINER,
    TRAINING,
    Faults,
    Undisturbed,
    prepared,
)
from tests.flows.pools import Installation, installed
from tests.postgres import has_postgresql

pytestmark = [
    pytest.mark.slow_prefect,
    pytest.mark.skipif(not has_postgresql(), reason="PostgreSQL's server is not installed"),
]


@pytest.fixture(scope="module")
def faults(calm: Undisturbed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faults]:
    """Yield an installation in which all folds are trained."""
    with prepared(tmp_path_factory.mktemp("faults"), calm, "--crash-after", "60") as ready:
        yield ready


def begin(faults: Faults) -> str:
    """Train the first fold again; return once it has saved a checkpoint and continues."""
    faults.forget([0])
    run_id = faults.begin()
    faults.here.until((faults.fold(0) / "resume.pt").is_file)
    return run_id


def begin_held(faults: Faults) -> tuple[str, list[psutil.Process]]:
    """Train the first fold again; return once it waits in its first epoch, without a checkpoint."""
    faults.forget([0])
    faults.hold(0)
    run_id = faults.begin()
    faults.here.until(lambda: faults.is_held(0))
    assert not (faults.fold(0) / "resume.pt").exists()
    return run_id, faults.here.processes(TRAINER)


def test_only_the_failed_fold_resumes_from_its_checkpoint_after_one_retry(faults: Faults) -> None:
    faults.forget([1, 2])
    faults.plant(2)
    run_id = faults.begin()
    failed = faults.here.ended(run_id)
    assert failed["state_type"] == "FAILED"
    assert "1 of 2 trainings on lsdc-gpu failed: fold 2 " in failed["state"]["message"]

    faults.here.retry(run_id)
    assert faults.here.ended(run_id)["state_type"] == "COMPLETED"
    children = faults.here.children(run_id)
    assert {name: child["run_count"] for name, child in children.items()} == {
        "train-fold-1-demo": 1,
        "train-fold-2-demo": 2,
    }
    assert faults.begun_at(2) == [(1, 1), (3, 1)]
    assert faults.oof() == faults.expected


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("kind", KINDS)
def test_killed_process_changes_no_result_and_repeats_no_finished_work(
    kind: str, number: int, faults: Faults
) -> None:
    outcome = faults.disturb(kind, random.Random(f"{kind} {number}"))
    assert outcome.is_good, outcome
    assert outcome.retries == 0 or kind in ("server", PG), outcome


@pytest.mark.parametrize("kind", ["parent", "parent's worker and parent"])
def test_parent_finds_its_folds_after_it_was_killed_and_retried(kind: str, faults: Faults) -> None:
    outcome = faults.disturb(kind, random.Random(kind))
    assert outcome.is_good, outcome
    assert outcome.retries == 1


def test_cancelled_training_saves_a_checkpoint_and_resumes_after_retry(faults: Faults) -> None:
    here = faults.here
    run_id, trainers = begin_held(faults)
    here.cancel(run_id)
    assert here.ended(run_id)["state_type"] == "CANCELLED"
    children = here.until(
        lambda: all(child["state_type"] == "CANCELLED" for child in here.children(run_id).values())
    )
    assert children
    _, alive = psutil.wait_procs(trainers, timeout=60)
    assert alive == []
    assert here.processes(TRAINER) == []
    assert (faults.fold(0) / "resume.pt").is_file()

    here.retry(run_id)
    assert here.ended(run_id)["state_type"] == "COMPLETED"
    assert faults.begun_at(0) == [(1, 1), (1, 4)]
    assert faults.oof() == faults.expected


def test_fold_uses_no_worker_while_another_run_uses_the_home(faults: Faults) -> None:
    faults.forget([0])
    arguments = ("train-fold/default", "--fold", "0", "--data", faults.data, *TRAINING)
    with build_lock(Home(faults.here.home), wait=True, say=print):
        begun = faults.here.trigger(*arguments)
        assert begun.returncode == 0, begun.stderr
        run_id = begun.stdout.splitlines()[0].rpartition("/")[2]
        rescheduled = faults.here.until(
            lambda: (run := faults.here.run(run_id))["state_name"] == "AwaitingRetry" and run
        )
        assert f"process {os.getpid()} on" in rescheduled["state"]["message"]
        assert faults.here.processes(TRAINER) == []
    assert faults.here.ended(run_id)["state_type"] == "COMPLETED"
    assert faults.is_trained(0)


def test_training_saves_a_checkpoint_when_the_installation_stops(
    faults: Faults, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(faults.here.home, home)
    database = faults.cluster.create("ended")

    def up() -> AbstractContextManager[Installation]:
        password = {"PREFECT_SERVER_API_AUTH_STRING": PASSWORD}
        return installed(home, "--database", database, site=faults.site, more=password)

    with up() as here:
        own = Faults(here, faults.cluster, faults.data, faults.site)
        run_id, trainers = begin_held(own)
    assert not any(each.is_running() for each in trainers)
    assert (own.fold(0) / "resume.pt").is_file()

    with up() as own.here:
        state = own.here.run(run_id)["state"]
        assert state["type"] == "CANCELLED"
        assert state["message"].startswith("interrupted by the end of its worker")
        own.here.retry(run_id)
        assert own.here.ended(run_id)["state_type"] == "COMPLETED"
    assert own.begun_at(0) == [(1, 1), (1, 4)]
    assert own.oof() == faults.expected


def test_run_is_marked_crashed_after_its_machine_lost_power(faults: Faults, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(faults.here.home, home)
    database = faults.cluster.create("power")

    def up(crash_after: int) -> AbstractContextManager[Installation]:
        return installed(
            home,
            *("--database", database, "--crash-after", str(crash_after)),
            site=faults.site,
            more={"PREFECT_SERVER_API_AUTH_STRING": PASSWORD},
        )

    with up(60) as here:
        own = Faults(here, faults.cluster, faults.data, faults.site)
        run_id = begin(own)
        here.kill()

    with up(45) as own.here:  # an updated automation forgets the runs that it watched
        crashed = own.here.ended(run_id)
        assert crashed["state_type"] == "CRASHED"
        assert "No sign of life for 45 s" in crashed["state"]["message"]
        own.here.retry(run_id)
        assert own.here.ended(run_id)["state_type"] == "COMPLETED"
    first, again = own.begun_at(0)
    assert first == (1, 1) < again
    assert own.oof() == faults.expected


def test_preparation_that_was_killed_gives_the_same_result(faults: Faults, tmp_path: Path) -> None:
    """Kill the run that learns coordinates, and then its parent while that run is repeated."""
    home = tmp_path / "home"
    with installed(
        home,
        *("--database", faults.cluster.create("prepares")),
        more={"PREFECT_SERVER_API_AUTH_STRING": PASSWORD},
    ) as here:
        own = Faults(here, faults.cluster, faults.data, faults.site)
        run_id = own.begin("--only-fold", "0", "--set", "training.epochs=1")
        for kind in ("run", "parent"):
            (learning,) = here.until(
                lambda: here.processes("lsdc.challenges.lumbar.coordinates.child")
            )
            assert own.kill(kind, run_id)
            psutil.wait_procs([learning], timeout=60)
        assert here.ended(run_id)["state_type"] == "CRASHED"
        here.retry(run_id)
        assert here.ended(run_id)["state_type"] == "COMPLETED"
        run_counts = {name: child["run_count"] for name, child in here.children(run_id).items()}
    assert run_counts == {"train-coordinates-demo": 2, "train-fold-0-demo": 1}
    for stage in ("index", "folds", "coordinates", "sides", "crops"):
        made = contents(home / stage)
        assert made
        assert made.items() <= contents(faults.here.home / stage).items()
    assert not find_leftovers(open_home(home))


def contents(folder: Path) -> dict[str, str]:
    """Return the digest of every file in a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): digest_file(path) for path in files}


def test_retry_after_correcting_the_data_uses_only_the_new_data(
    faults: Faults, tmp_path: Path
) -> None:
    data = tmp_path / "competition"
    shutil.copytree(faults.data, data)
    with installed(
        tmp_path / "home",
        *("--database", faults.cluster.create("mended")),
        site=faults.site,
        more={"PREFECT_SERVER_API_AUTH_STRING": PASSWORD},
    ) as here:
        own = Faults(here, faults.cluster, data, faults.site)
        own.plant(1)
        run_id = own.begin(
            *("--folds", "2", "--only-fold", "1"),
            *("--set", "coordinates.source=annotated", "--set", "training.epochs=2"),
        )
        assert here.ended(run_id)["state_type"] == "FAILED"
        table = data / "train.csv"
        given = table.read_text()
        table.write_text(given.replace("Normal/Mild", "Severe", 1))
        assert table.read_text() != given
        here.retry(run_id)
        assert here.ended(run_id)["state_type"] == "COMPLETED"
        mine = {"flow_runs": {"parent_flow_run_id": {"any_": [run_id]}}}
        sent = Counter(run["name"] for run in here.ask("flow_runs/filter", mine))
    assert sent == {"train-coordinates-demo": 2, "train-fold-1-demo": 2}


def test_requested_device_is_used_for_training_only(faults: Faults) -> None:
    """If all folds are trained, a head node without a GPU predicts on its CPU."""
    submission = faults.here.home / "runs/demo/submission.csv"
    submission.unlink(missing_ok=True)
    asked = ("--data", faults.data, *TRAINING, "--device", "cuda", "--watch")
    done = faults.here.trigger("submit/default", *asked)
    assert done.returncode == 0, done.stdout + done.stderr
    assert faults.here.children(done.stdout.splitlines()[0].rpartition("/")[2]) == {}
    assert submission.is_file()


def test_two_triggers_of_the_same_run_train_each_fold_once(faults: Faults) -> None:
    run_ids = [begin(faults), faults.begin()]
    assert {faults.here.ended(run_id)["state_type"] for run_id in run_ids} == {"COMPLETED"}
    assert faults.begun_at(0) == [(1, 1)]
    assert faults.oof() == faults.expected


def test_run_with_other_settings_does_not_disturb_a_running_one(faults: Faults) -> None:
    faults.forget([0])
    others = ("--only-fold", "0", "--set", "training.epochs=2")
    run_ids = [faults.begin(), faults.begin(*others)]
    assert {faults.here.ended(run_id)["state_type"] for run_id in run_ids} == {"COMPLETED"}
    assert (faults.here.home / "runs/demo@epochs-2/fold-0/fit.json").is_file()
    assert faults.begun_at(0) == [(1, 1)]
    assert faults.oof() == faults.expected


def test_fold_fails_on_a_full_disk_and_resumes_once_there_is_space(
    faults: Faults, tmp_path: Path
) -> None:
    """Put the home of the workers on a small disk; the server's database is elsewhere."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts a small disk")
    home = tmp_path / "home"
    home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", home], check=True)
    try:
        shutil.copytree(faults.here.home, home, dirs_exist_ok=True)
        with installed(
            home,
            *("--database", faults.cluster.create("disk")),
            more={"PREFECT_SERVER_API_AUTH_STRING": PASSWORD},
        ) as here:
            small = Faults(here, faults.cluster, faults.data, faults.site, faults.expected)
            run_id = begin(small)
            ballast = home / "ballast"
            with ballast.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(home).free)
            failed = here.ended(run_id)
            assert failed["state_type"] == "FAILED"
            assert "no space" in failed["state"]["message"]

            ballast.unlink()
            here.retry(run_id)
            assert here.ended(run_id)["state_type"] == "COMPLETED"
            first, again = small.begun_at(0)
            assert first == (1, 1) < again
            assert small.oof() == faults.expected
    finally:
        subprocess.run(["umount", home], check=True)


def test_server_requires_the_password_from_every_client(faults: Faults, tmp_path: Path) -> None:
    here = faults.here
    refused = lsdc("trigger", "train-folds/default", "--home", here.home)
    assert refused.code == 2
    assert "PREFECT_API_AUTH_STRING" in refused.err

    joining = subprocess.Popen(
        [sys.executable, "-P", "-m", "lsdc", "worker", "--pool", "lsdc-gpu", "--home", tmp_path],
        env={**here.environment, "PREFECT_API_URL": here.api},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert joining.stdout is not None
        assert any("started!" in line for line in joining.stdout)
    finally:
        joining.terminate()
        joining.communicate()


def test_server_of_a_local_run_requires_the_password(
    faults: Faults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(faults.here.home, tmp_path / "home")
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", PASSWORD)
    outcome = lsdc("run-local", "--data", faults.data, "--home", tmp_path / "home", *TRAINING)
    assert outcome.code == 0, outcome.out + outcome.err
    assert "has not recorded" not in outcome.out
    assert not {name for name in outcome.ran if name.startswith("fold ")}


def test_benchmark_prints_what_became_of_a_cancelled_run(calm: Undisturbed) -> None:
    kills = ("--kills", "1", "--installations", "1", "--kinds", "cancel")
    figures = run_benchmark("faults", *kills, "--folder", calm.folder.parent)
    names = (
        *("kills", "by_itself", "one_retry", "other_bits", "done_twice", "from_start", "seconds"),
        *("gone_after", "gone_at_most"),
    )
    require_figures(figures, ["calm_seconds", *(f"cancel_{name}" for name in names)])
