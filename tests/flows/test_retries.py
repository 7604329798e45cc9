"""Retries are visible in Prefect."""

import os
import subprocess
import sys
from pathlib import Path

from lsdc.cli.server.prefect_settings import QUIET
from tests.flows.conftest import ask

# In the reading child, the first read of each file with instance number 2 fails.
FLAKY = """
import errno, os, sys
if "lsdc.dicom.child" in sys.orig_argv:
    whole = os.open
    def flaky(path, *rest, **more):
        if os.fsencode(path).endswith(b"/2.dcm"):
            try:
                whole(f"{seen}/" + os.fsencode(path).hex()[-80:], os.O_CREAT | os.O_EXCL)
            except FileExistsError:
                pass
            else:
                raise OSError(errno.ESTALE, "Stale file handle", path)
        return whole(path, *rest, **more)
    os.open = flaky
"""
INDEX = """
import sys
from pathlib import Path
from prefect import flow
from prefect.context import get_run_context
from prefect.logging.handlers import APILogWorker
from lsdc.challenges.lumbar.stages.index import index_studies
from lsdc.challenges.lumbar.run import LumbarRun
from tasks.request import RunRequest
from tasks.run import open_run

data, home = Path(sys.argv[1]), Path(sys.argv[2])
run = open_run(LumbarRun, RunRequest.of(experiment="demo", data=data, home=home, folds=2))

@flow
def only_the_index():
    return get_run_context().flow_run.id, index_studies(run, "test").rows

print(*only_the_index())
APILogWorker.drain_all(timeout=10)
"""


# A task whose tries end as the words say: "leave" as a training that received SIGTERM.
ENDS = """
import sys
from prefect import flow
from prefect.logging.handlers import APILogWorker
from lsdc.errors import ChildDiedError, DataError, ResumeLaterError
from lsdc.store.manifest import Manifest
from lsdc.challenges.lumbar.run import LumbarRun
from tasks.request import RunRequest
from tasks.run import Run, open_run
from tasks.stage import stage

KINDS = {"leave": ResumeLaterError, "die": ChildDiedError, "refuse": DataError}
run = open_run(LumbarRun, RunRequest.of(home=sys.argv.pop(1), data="phantom"))

@stage("fold", code=(), libraries=(), run_name="fold", timeout_hours=1, retries=1, resumes=4,
       retry_delays_seconds=(0,))
def end_as(run: Run, words: str) -> Manifest:
    end = ends.pop(0)
    if end in KINDS:
        raise KINDS[end](end)
    return Manifest(stage="fold", path="", digest=words, rows=1, files=())

@flow
def several():
    global ends
    for words in sys.argv[1:]:
        ends = words.split()
        state = end_as.task(run, words, return_state=True)
        print(state.name, len(words.split()) - len(ends), sep=":", flush=True)

several(return_state=True)
APILogWorker.drain_all(timeout=10)
"""


def test_resumes_and_failures_are_counted_separately(api: str, tmp_path: Path) -> None:
    ends = {
        "leave leave leave done": "Completed:4",
        "leave die leave leave done": "Completed:5",
        "leave die leave die done": "Failed:4",
        "die die done": "Failed:2",
        "leave refuse done": "Failed:2",
        "leave leave leave leave leave leave": "Failed:6",
    }
    done = subprocess.run(
        [sys.executable, "-P", "-c", ENDS, str(tmp_path / "home"), *ends],
        env=os.environ | {**QUIET, "PREFECT_API_URL": api},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == list(ends.values()), done.stderr


def test_retried_read_is_logged_with_its_task_run(phantom: Path, tmp_path: Path, api: str) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (tmp_path / "seen").mkdir()
    (site / "sitecustomize.py").write_text(f"seen = {str(tmp_path / 'seen')!r}\n{FLAKY}")
    environment = {
        **QUIET,
        "PYTHONPATH": str(site),
        "PREFECT_API_URL": api,
        "PREFECT_LOGGING_EXTRA_LOGGERS": "lsdc",
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(tmp_path / "results"),
    }
    done = subprocess.run(
        [sys.executable, "-P", "-c", INDEX, str(phantom), str(tmp_path / "home")],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    flow_run, files = done.stdout.split()
    mine = {"flow_runs": {"id": {"any_": [flow_run]}}}
    (shard,) = (
        task_run
        for task_run in ask(api, "task_runs/filter", mine)
        if task_run["name"] == "index test 1 of 1"
    )
    logs = ask(api, "logs/filter", {"logs": {"flow_run_id": {"any_": [flow_run]}}, "limit": 200})
    retried = [log for log in logs if "attempt 2 of 4" in log["message"]]
    assert len(retried) == 1
    assert "Stale file handle" in retried[0]["message"]
    assert retried[0]["task_run_id"] == shard["id"]
    # No file is missing in the end.
    assert int(files) == sum(1 for _ in (phantom / "test_images").rglob("*.dcm"))
