"""An interrupted flow run and its tasks are cancelled, with a message."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lsdc.cli.server.prefect_settings import QUIET
from tests.flows.conftest import ask

# One task is done, one runs in a thread and notices the shutdown, one runs in the flow's thread.
ENDED = """
import sys, time
from pathlib import Path
from prefect import flow, task
from prefect.logging.handlers import APILogWorker
from lsdc.run_context import run_context
from lsdc.errors import InterruptedRunError
from tasks.interrupts import cancelled_when_interrupted
from tasks.progress import hide_prefect_messages

@task
def done():
    pass

@task
def beside():
    run_context().sleep(600)
    raise InterruptedRunError("the run is ending")

@task
def here():
    print("ready", flush=True)
    time.sleep(600)

@flow(name="told-to-end", flow_run_name=sys.argv[1])
@cancelled_when_interrupted
def told():
    hide_prefect_messages()
    done()
    beside.submit()
    here()

state = told(return_state=True)
APILogWorker.drain_all(timeout=10)
print(state.name, state.message)
"""


@pytest.mark.parametrize(
    ("how", "by"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")], ids=["int", "term"]
)
def test_interrupted_flow_and_tasks_are_cancelled(
    how: signal.Signals, by: str, api: str, tmp_path: Path
) -> None:
    name = f"told-{by}-{tmp_path.name}"
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", ENDED, name],
        env=os.environ | QUIET | {"PREFECT_API_URL": api},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(how)
    out, err = process.communicate(timeout=100)
    assert out.startswith(f"Cancelled interrupted by {by}; run the same command again")
    assert "rash" not in err

    named: dict[str, Any] = {"flow_runs": {"name": {"any_": [name]}}}
    (run,) = ask(api, "flow_runs/filter", named)
    assert run["state_name"] == "Cancelled"
    assert run["state"]["message"].startswith(f"interrupted by {by}")
    tasks = {each["name"][:4]: each["state_name"] for each in ask(api, "task_runs/filter", named)}
    assert tasks == {"done": "Completed", "besi": "Cancelled", "here": "Cancelled"}
    logs = ask(api, "logs/filter", {"logs": {"flow_run_id": {"any_": [run["id"]]}}})
    assert not [each for each in logs if "rash" in each["message"] or each["level"] >= 40]
