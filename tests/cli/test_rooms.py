"""The user's packages named flows, tasks or deployments do not replace ours."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lsdc

ROOT = Path(lsdc.__file__).parents[1]
# What the command imports, and what a process that it starts imports.
WHERE = """
import subprocess, sys
import lsdc.cli.app
import deployments, tasks.pools, tasks.run
for each in (tasks.pools, tasks.run, deployments):
    print(each.__file__)
child = "import flows, tasks, deployments; print(flows.__file__, tasks.__file__)"
subprocess.run([sys.executable, "-P", "-c", child], check=True)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Write a project with all three, each in another form that Python can import."""
    project = tmp_path / "project"
    (project / "flows").mkdir(parents=True)
    (project / "flows/__init__.py").write_text("raise SystemExit('theirs')")
    (project / "tasks.py").write_text("raise SystemExit('theirs')")
    (project / "deployments").mkdir()
    (project / "deployments/nightly.py").write_text("raise SystemExit('theirs')")
    return project


def where(folder: Path, root: Path, *options: str, **environment: str) -> None:
    """Import the packages of `root` in a process that runs in a folder."""
    done = subprocess.run(
        [sys.executable, *options, "-c", WHERE],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = done.stdout.split()
    expected = ("tasks/pools", "tasks/run", "deployments/__init__", "flows/__init__")
    assert found == [f"{root}/{each}.py" for each in (*expected, "tasks/__init__")]


def test_packages_in_the_working_folder_do_not_replace_ours(project: Path) -> None:
    where(project, ROOT)


def test_packages_on_the_path_do_not_replace_ours(project: Path) -> None:
    where(project, ROOT, "-P", PYTHONPATH=".")


def test_installed_packages_come_before_the_users(project: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    for name in ("lsdc", "flows", "tasks", "deployments"):
        shutil.copytree(ROOT / name, site / name, ignore=shutil.ignore_patterns("__pycache__"))
    where(project, site, "-P", PYTHONPATH=f"{project}{os.pathsep}{site}")


def test_path_without_a_conflict_is_not_changed(tmp_path: Path) -> None:
    code = "import os, lsdc.cli, sys; print('PYTHONPATH' in os.environ, sys.path[0])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False"]


def test_conflicting_package_that_is_already_imported_is_refused(project: Path) -> None:
    (project / "tasks.py").write_text("")
    done = subprocess.run(
        [sys.executable, "-c", "import tasks, lsdc.cli"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"lsdc: {project}/tasks.py was imported as 'tasks' before {ROOT}")
    assert "Traceback" not in done.stderr
