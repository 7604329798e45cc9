"""Runs sent to other workers: cancellation, retries after crashes, and missing results."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelled, Crashed, Failed

from lsdc.cli.server.prefect_settings import QUIET
from tasks.dispatch import _should_restart
from tasks.interrupts import INTERRUPTED
from tests.flows.pools import Installation

MINUTE = timedelta(minutes=1)
# A flow run that sends a fold to a pool without workers.
SENDS = """
import asyncio, sys
from pathlib import Path
from prefect import flow
from prefect.logging.handlers import APILogWorker
from deployments.register import register
from tasks.dispatch import TrainingJob, train_on_workers
from lsdc.errors import StageError
from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.challenges.lumbar.stages.training import train_fold
from lsdc.store.manifest import Manifest
from tasks.request import RunRequest
from tasks.run import open_run

MADE = Manifest(stage="x", path="x", digest="x", rows=1, files=())
asyncio.run(register())
request = RunRequest.of(experiment="demo", data=None, home=Path(sys.argv[1]), folds=2)
run = open_run(LumbarRun, request)

@flow(flow_run_name=sys.argv[2])
def sends(experiment: str = "demo"):
    inputs = run, 0, MADE, MADE
    job = TrainingJob("train-fold/default", "fold 0", train_fold, inputs, {"fold": 0})
    train_on_workers(run, [job], {})

try:
    sends()
except StageError as error:
    print(error)
finally:
    APILogWorker.drain_all(timeout=10)
"""


def crashed(*, ran: timedelta) -> FlowRun:
    """Return the same crashed run each time, with this total run time."""
    return FlowRun(id=RUN, flow_id=RUN, state=Crashed(), total_run_time=ran)


RUN = uuid4()


def test_run_that_crashes_early_is_resumed_three_times() -> None:
    crashes: dict = {}
    tries = [_should_restart(crashed(ran=number * MINUTE), crashes) for number in range(1, 5)]
    assert tries == [True, True, True, False]


def test_run_that_makes_progress_between_crashes_is_resumed_more_often() -> None:
    crashes: dict = {}
    assert all(_should_restart(crashed(ran=n * 15 * MINUTE), crashes) for n in range(1, 11))
    tries = [_should_restart(crashed(ran=165 * MINUTE), crashes) for _ in range(4)]
    assert tries == [True, True, True, False]

    crashes.clear()
    tries = [_should_restart(crashed(ran=n * 15 * MINUTE), crashes) for n in range(1, 22)]
    assert tries == [*[True] * 20, False]


def test_failed_run_is_not_resumed() -> None:
    assert not _should_restart(FlowRun(flow_id=RUN, state=Failed()), {})


def test_run_of_a_stopped_worker_is_resumed_and_a_cancelled_run_is_not() -> None:
    left = Cancelled(message=f"{INTERRUPTED} the end of its worker; Retry goes on")
    assert _should_restart(FlowRun(flow_id=RUN, state=left), {})
    by_hand = Cancelled(message="cancelled in Prefect; Retry resumes it")
    assert not _should_restart(FlowRun(flow_id=RUN, state=by_hand), {})


@dataclass
class Sending:
    """A flow run that has sent a fold and waits for it."""

    here: Installation
    run_id: str

    def fold(self, state: str) -> str:
        """Return the id of the fold's run once it is in this state."""

        def found() -> str | None:
            has_ended = self.here.process.poll() is not None
            runs = self.here.children(self.run_id).values()
            told = next((run["id"] for run in runs if run["state"]["name"] == state), None)
            assert told or not has_ended, f"what sends the fold has ended, not {state}"
            return told

        return str(self.here.until(found))

    def become(self, run_id: str, state: str) -> None:
        """Set the state of a run, as a worker or Prefect's UI would."""
        told = {"state": {"type": state.upper(), "name": state}}
        self.here.ask(f"flow_runs/{run_id}/set_state", told)


@pytest.fixture
def sending(api: str, tmp_path: Path) -> Iterator[Sending]:
    """Start one in a separate process, on a server whose pools have no workers."""
    name, environment = f"sends-{uuid4()}", os.environ | {**QUIET, "PREFECT_API_URL": api}
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", SENDS, str(tmp_path / "home"), name],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    here = Installation(tmp_path / "home", process, environment, api=api)
    named = {"flow_runs": {"name": {"any_": [name]}}}
    try:
        (run,) = here.until(lambda: here.ask("flow_runs/filter", named))
        yield Sending(here, run["id"])
    finally:
        process.kill()
        process.communicate()


def test_fold_that_waits_for_a_worker_is_cancelled_with_its_parent(sending: Sending) -> None:
    sending.fold("Scheduled")
    sending.become(sending.run_id, "Cancelling")
    sending.here.process.send_signal(signal.SIGINT)
    assert sending.fold("Cancelled")


def test_crashed_fold_is_resumed_and_a_fold_without_a_result_is_an_error(
    sending: Sending,
) -> None:
    fold = sending.fold("Scheduled")
    for _ in range(3):
        sending.become(fold, "Crashed")
        sending.fold("AwaitingRetry")
    sending.become(fold, "Completed")
    said, _ = sending.here.process.communicate(timeout=100)
    assert "fold 0: trained on lsdc-gpu, but" in said
    assert "but the result is not in" in said
