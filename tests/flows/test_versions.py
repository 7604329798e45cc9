"""Workers whose versions differ from those of the run that they train for."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.train_folds import train_fold
from lsdc.challenges.lumbar.steps.flow import STAGES
from lsdc.challenges.lumbar.steps.train_coordinates import train_coordinates
from lsdc.errors import SettingsError
from tasks.versions import installed_versions
from tests.flows.faults import TRAINING, Undisturbed
from tests.flows.pools import SECONDS, Installation, installed

VERSIONS = """
import json
from lsdc.challenges.lumbar.steps.flow import STAGES
from tasks.versions import installed_versions
print(json.dumps(installed_versions(STAGES)))
"""


@pytest.fixture
def other_timm(tmp_path: Path) -> Path:
    """Return a folder that, first on the path, makes an installation report timm 0.0.1."""
    described = tmp_path / "site" / "timm-0.0.1.dist-info" / "METADATA"
    described.parent.mkdir(parents=True)
    described.write_text("Metadata-Version: 2.1\nName: timm\nVersion: 0.0.1\n")
    return described.parents[1]


def found_first(*folders: Path) -> dict[str, str]:
    """Return an environment in which Python imports from these folders first."""
    paths = [*map(str, folders), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def test_versions_are_the_installed_ones(other_timm: Path) -> None:
    there = json.loads(
        subprocess.run(
            [sys.executable, "-P", "-c", VERSIONS],
            env=found_first(other_timm),
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
    )
    assert there == installed_versions(STAGES) | {"timm": "0.0.1"}
    assert {"lsdc", "torch", "polars", "pydicom"} <= set(there)


@pytest.mark.parametrize("flow", [train_fold, train_coordinates])
def test_training_for_a_run_with_other_versions_is_refused_before_any_work(
    flow, tmp_path: Path
) -> None:
    theirs = installed_versions(STAGES) | {"timm": "0.0.1", "lsdc": "9.0 (code 01234567)"}
    with pytest.raises(SettingsError, match=r"expected lsdc 9\.0 \(code 01234567\), timm 0\.0\.1;"):
        flow.fn(home=tmp_path / "home", versions=theirs)
    assert not (tmp_path / "home").exists()


@contextlib.contextmanager
def joined(here: Installation, pool: str, *site: Path) -> Iterator[None]:
    """Run workers of a pool as on another machine during the block."""
    command = [sys.executable, "-P", "-m", "lsdc", "worker", "--pool", pool]
    workers = subprocess.Popen(
        [*command, "--home", str(here.home)],
        env=found_first(*site) | {"PREFECT_API_URL": here.api},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        workers.send_signal(signal.SIGTERM)
        workers.wait(timeout=SECONDS)


@pytest.mark.slow_prefect
def test_worker_with_other_versions_refuses_and_an_equal_one_resumes_after_retry(
    calm: Undisturbed, other_timm: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(calm.home, home)
    asked = ("--data", calm.data, *TRAINING, "--only-fold", "0", "--set", "training.epochs=2")
    with installed(home, "--no-workers") as here, joined(here, "lsdc-cpu"):
        begun = here.trigger("train-folds/default", *asked)
        run_id = begun.stdout.splitlines()[0].rpartition("/")[2]
        with joined(here, "lsdc-gpu", other_timm):
            failed = here.ended(run_id)
        assert failed["state_type"] == "FAILED"
        ours = installed_versions(STAGES)["timm"]
        assert f"expected timm {ours}; found timm 0.0.1" in failed["state"]["message"]

        here.retry(run_id)
        with joined(here, "lsdc-gpu"):
            assert here.ended(run_id)["state_type"] == "COMPLETED"
