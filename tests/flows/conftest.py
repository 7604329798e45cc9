"""One whole run per session, on the phantom and, if available, a real study."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from lsdc.cli.server.process import prefect_server
from lsdc.store.home import open_home
from tests.flows.faults import Undisturbed, undisturbed

REAL_STUDY = 100206310
_TABLES = ("train.csv", "train_series_descriptions.csv", "train_label_coordinates.csv")


@dataclass(frozen=True)
class Outcome:
    """The output of a command and its exit code."""

    code: int
    out: str
    err: str

    def state_of(self, name: str) -> str:
        """Return the printed state of a task run: `unchanged, kept`, or its run time."""
        for line in self.out.splitlines():
            if line.startswith(("✓ ", "✗ ")) and line[2:].startswith(f"{name}: "):
                return line[2:].removeprefix(f"{name}: ")
        raise AssertionError(f"{name} is not in the output:\n{self.out}\n{self.err}")

    @property
    def ran(self) -> set[str]:
        """The task runs whose body ran."""
        lines = [line[2:] for line in self.out.splitlines() if line.startswith(("✓ ", "✗ "))]
        return {line.partition(":")[0] for line in lines if "unchanged, kept" not in line}


def ask(api: str, what: str, query: dict[str, object]) -> list[dict[str, str]]:
    """Return the server's answer to a query."""
    request = urllib.request.Request(
        f"{api}/{what}",
        data=json.dumps(query).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: list[dict[str, str]] = json.load(answer)
    return found


def lsdc(*arguments: str | Path, source: Path | None = None, api: str | None = None) -> Outcome:
    """Run the command in a separate process, from a copy of the project if one is given.

    `api` is the address of a Prefect API that the environment configures.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_API")}
    if api is not None:
        environment["PREFECT_API_URL"] = api
    if source is not None:
        environment["PYTHONPATH"] = str(source)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "lsdc", *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Ran:
    """A competition and the home of a run on it.

    Attributes:
        outcome: of that run, which brought a server of its own.
        api: of the session's server, for further ones.
    """

    data: Path
    home: Path
    outcome: Outcome
    api: str

    @property
    def arguments(self) -> tuple[str | Path, ...]:
        """The arguments of the run."""
        return ("run-local", "--data", self.data, "--home", self.home, "--folds", "2")

    @property
    def folder(self) -> Path:
        """The experiment's folder."""
        return self.home / "runs" / "demo"

    def again(self, *more: str, source: Path | None = None) -> Outcome:
        """Run the same command again."""
        return lsdc(*self.arguments, *more, source=source, api=self.api)


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of a Prefect server that tests share."""
    with prefect_server(open_home(tmp_path_factory.mktemp("server") / "home")) as server:
        server.wait_until_healthy()
        yield server.api.url


@pytest.fixture(scope="session")
def command(api: str) -> Callable[..., Outcome]:
    """Return a function that runs the command line in a separate process."""
    return partial(lsdc, api=api)


@pytest.fixture(scope="session")
def competition(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the phantom; with LSDC_REAL_DATA, add the real study to both splits."""
    root = tmp_path_factory.mktemp("flows") / "competition"
    shutil.copytree(phantom, root)
    if real := os.environ.get("LSDC_REAL_DATA"):
        _add_real_study(root, Path(real) / "competition")
    return root


def _add_real_study(root: Path, real: Path) -> None:
    for name in _TABLES:
        mine, theirs = (pl.read_csv(folder / name, infer_schema=False) for folder in (root, real))
        theirs = theirs.filter(study_id=str(REAL_STUDY)).select(mine.columns)
        pl.concat([mine, theirs]).write_csv(root / name)
    series = pl.read_csv(real / "train_series_descriptions.csv", infer_schema=False)
    tested = root / "test_series_descriptions.csv"
    mine = pl.read_csv(tested, infer_schema=False)
    theirs = series.filter(study_id=str(REAL_STUDY)).select(mine.columns)
    pl.concat([mine, theirs]).write_csv(tested)
    sample = pl.read_csv(root / "sample_submission.csv", infer_schema=False)
    first = sample.head(25)
    study = first["row_id"][0].partition("_")[0]
    real_rows = first.with_columns(pl.col("row_id").str.replace(study, str(REAL_STUDY)))
    pl.concat([sample, real_rows]).write_csv(root / "sample_submission.csv")
    for split in ("train", "test"):
        link = root / f"{split}_images" / str(REAL_STUDY)
        link.symlink_to(real / "train_images" / str(REAL_STUDY))


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """Return a home, to be copied, whose folds the first test process trains."""
    base = tmp_path_factory.getbasetemp()
    alike = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return undisturbed(alike / "undisturbed")


@pytest.fixture(scope="session")
def ran(competition: Path, api: str, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Run the whole command once."""
    home = tmp_path_factory.mktemp("home")
    outcome = lsdc("run-local", "--data", competition, "--home", home, "--folds", "2")
    assert outcome.code == 0, outcome.out + outcome.err
    return Ran(competition, home, outcome, api)
