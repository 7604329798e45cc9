"""Shards of a stage: finished ones are kept, and Dask's workers compute the same."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cloudpickle
import pytest

from flows.pipeline import pipeline
from lsdc.cli.commands.run_local import report_begin
from lsdc.store.garbage import pinned_results
from lsdc.store.home import open_home
from tests.flows.conftest import Outcome, Ran, ask

# The command, with two studies per shard. On request, the disk refuses the second shard of crops
# once, and the third shard fails every time.
COMMAND = """
import errno
import os
import lsdc.challenges.lumbar.crops.cut as crops
import tasks.shards as shards
from lsdc.cli.app import main
from lsdc.errors import StageError

shards.UNITS_HERE = shards.UNITS_ELSEWHERE = 2
planted = [None, OSError(errno.ESTALE, "planted"), None, StageError("planted: fails")]
whole = crops.cut_shard

def failing(*arguments, **more):
    if error := planted.pop(0):
        raise error
    return whole(*arguments, **more)

if "PLANTED" in os.environ:
    crops.cut_shard = failing
if __name__ == "__main__":
    main()
"""


@pytest.fixture
def home(ran: Ran, tmp_path: Path) -> Path:
    """Return the home of the whole run without its index and crops."""
    copy = tmp_path / "home"
    shutil.copytree(ran.home, copy)
    for stage in ("index", "crops"):
        shutil.rmtree(copy / stage)
    return copy


def command(ran: Ran, home: Path, **environment: str) -> Outcome:
    done = subprocess.run(
        [
            *(sys.executable, "-P", "-c", COMMAND, "run-local", "--data", str(ran.data)),
            *("--home", str(home), "--folds", "2", "--threads", "2"),
        ],
        env=os.environ | {"PREFECT_API_URL": ran.api, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def states(api: str, name: str) -> list[str]:
    """Return the final state of each run of a task with that name, in order."""
    query = {"task_runs": {"name": {"any_": [name]}}, "sort": "EXPECTED_START_TIME_ASC"}
    return [run["state_name"] for run in ask(api, "task_runs/filter", query)]


@pytest.mark.slow_index
def test_finished_shards_are_kept_and_dask_computes_the_others_equally(
    ran: Ran, home: Path
) -> None:
    failed = command(ran, home, PLANTED="1")
    assert failed.code == 1, failed.out + failed.err
    assert "planted: fails" in failed.err
    assert len(list((home / "shards").iterdir())) == 2
    shutil.rmtree(home / "index")

    went_on = command(ran, home, LSDC_TASK_RUNNER="dask")
    assert went_on.code == 0, went_on.out + went_on.err
    assert went_on.ran == {"index train", "index test", "crops train", "crops test"}
    assert "LocalCluster" in (home / "logs/demo.log").read_text()
    # Results are named by their content.
    assert pinned_results(open_home(home), "demo") == [
        home / path.relative_to(ran.home) for path in pinned_results(open_home(ran.home), "demo")
    ]
    assert not list((home / "shards").iterdir())
    shards = -(-len(list((ran.data / "train_images").iterdir())) // 2)
    every = [states(ran.api, f"crops train {number} of {shards}") for number in (1, 2, 3)]
    assert every == [["Completed", "Cached"], ["Completed", "Cached"], ["Failed", "Completed"]]


def test_flow_can_be_pickled_for_dask_with_its_hooks() -> None:
    begun = pipeline.with_options(on_running=[report_begin])
    assert cloudpickle.loads(cloudpickle.dumps(begun)).name == "pipeline"
