"""The toy challenge of docs/challenges.md is complete: typed in as it stands, it runs."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

from lsdc.challenges.challenge import Challenge, Steps
from tests.docs.blocks import ROOT

PAGE = (ROOT / "docs" / "challenges.md").read_text(encoding="utf-8")
FILES = dict(
    re.findall(
        r"^\*lsdc/challenges/toy/([\w.]+)\*\n```\w+\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE
    )
)
# In the registry, the import and the tuple that replaces the one there.
REGISTERED = re.compile(
    r"^(from lsdc\.challenges\.toy\.\S+ import TOY)\n+(CHALLENGES: .*TOY\))$", re.M
)
SOURCES = ("lsdc", "tasks", "flows", "deployments")


def test_page_names_every_member_of_a_challenge_and_every_step() -> None:
    members = {name for name in vars(Challenge) if name[0] != "_"} | {*get_type_hints(Challenge)}
    missing = [name for name in members - {"brings"} if f"`{name}`" not in PAGE]
    steps = [name for name in vars(Steps) if name[0] != "_" and not re.search(rf"`{name}\b", PAGE)]
    assert (missing, steps) == ([], [])


@pytest.fixture(scope="module")
def typed_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the code with the toy challenge."""
    copy = tmp_path_factory.mktemp("toy")
    for source in SOURCES:
        shutil.copytree(ROOT / source, copy / source, ignore=shutil.ignore_patterns("__pycache__"))
    package = copy / "lsdc" / "challenges" / "toy"
    package.mkdir()
    for name, text in FILES.items():
        (package / name).write_text(text, encoding="utf-8")
    imported, registered = REGISTERED.search(PAGE).groups()
    registry = package.parent / "registry.py"
    text = registry.read_text(encoding="utf-8")
    text = text.replace("\nfrom lsdc.errors", f"\n{imported}\nfrom lsdc.errors")
    text = re.sub(r"^CHALLENGES: .*$", registered, text, flags=re.M)
    registry.write_text(text, encoding="utf-8")
    return copy


def run(copy: Path, *words: str) -> str:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LSDC_", "PREFECT_API", "PYTEST_XDIST"))
    }
    done = subprocess.run(
        [sys.executable, "-P", "-m", "lsdc", *words],
        cwd=copy,
        env=environment | {"PYTHONPATH": str(copy), "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow_docs
def test_toy_of_the_page_runs_and_prints_what_the_page_says(typed_in: Path) -> None:
    printed = run(typed_in, "run-local", "--experiment", "toy-demo", "--folds", "2")
    (promised,) = re.findall(r"^```text\n(toy-demo: .*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    promised = promised.replace("lsdc-home", str(typed_in / "lsdc-home"))
    assert squeezed(promised) in squeezed(printed)
    again = ("--set", "model.smoothing=20", "--json")
    found = json.loads(
        run(typed_in, "run-local", "--experiment", "toy-demo", "--folds", "2", *again)
    )
    assert found["stages"] == {"computed": 4, "kept": 2}  # phantom and folds


@pytest.mark.slow_docs
def test_toys_data_are_recognised_in_a_folder(typed_in: Path) -> None:
    run(typed_in, "demo-data", "numbers", "--challenge", "toy", "--studies", "12")
    words = ("run-local", "--data", "numbers", "--home", "other", "--folds", "3", "--json")
    assert json.loads(run(typed_in, *words))["experiment"] == "toy-demo"


def squeezed(text: str) -> str:
    return " ".join(text.split())
