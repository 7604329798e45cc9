"""Fixtures for all tests: a small phantom, the real data if available, servers."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from lsdc.challenges.lumbar.phantom.study import Order
from lsdc.challenges.lumbar.phantom.writer import write_phantom
from tests.object_storage import s3_server
from tests.postgres import has_postgresql, postgresql
from tests.report.browsing import LOOKS, chromium, opening

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# Runs write their reports without images, for which each would start torch once more.
os.environ["LSDC_IMAGES"] = "0"
# If a shell starts the tests in the background, they and their children ignore interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a phantom of 6 training and 2 test studies, 64 px; tests must not change it."""
    root = tmp_path_factory.mktemp("phantom") / "competition"
    write_phantom(root, Order(studies=6, test=2, seed=3, max_size=64))
    return root


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread, for the same bits everywhere; small nets are faster so."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of LSDC_REAL_DATA, with `competition/` and `oof/`."""
    root = os.environ.get("LSDC_REAL_DATA")
    if not root:
        pytest.skip("LSDC_REAL_DATA is not set, so there is no real data")
    return Path(root)


@pytest.fixture(scope="module")  # while it is open, asyncio has a running loop
def browser() -> "Iterator[Browser]":
    """Yield Chromium."""
    with chromium() as found:
        yield found


@pytest.fixture(params=LOOKS)
def opened(browser: "Browser", request: pytest.FixtureRequest) -> "Iterator[Callable[..., Page]]":
    """Yield a function that opens a file; afterwards nothing was printed or requested."""
    with opening(browser, request.param) as open_file:
        yield open_file


@pytest.fixture(scope="session")
def object_storage() -> Iterator[dict[str, str]]:
    """Start an S3 server and return the environment variables for its clients."""
    with s3_server() as environment:
        yield environment


@pytest.fixture(scope="session")
def database() -> Iterator[str]:
    """Start a PostgreSQL server and return the address of a database."""
    if not has_postgresql():
        pytest.skip("PostgreSQL is not installed")
    with postgresql() as cluster:
        yield cluster.create("lsdc")


@pytest.fixture
def bucket(object_storage: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """Create a bucket for this process and its children, and return its address."""
    import fsspec

    for name, value in object_storage.items():
        monkeypatch.setenv(name, value)
    name = f"lsdc-{uuid4().hex}"
    fsspec.filesystem("s3", use_listings_cache=False).mkdir(name)
    return f"s3://{name}"


class FilesTogether(LoadFileScheduling):
    """Distributes tests to processes by file; all files of the flows go to one process.

    These share a Prefect server and the homes of runs. Of the slow tests, each file takes longer
    than what is shared, and so do single tests of pool faults, which mostly wait.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        if file == "tests/flows/test_pool_faults.py":
            return nodeid
        slow = self.config.getoption("markexpr").startswith("slow_")
        return "tests/flows" if file.startswith("tests/flows/") and not slow else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FilesTogether:
    """Return the scheduler of `--numprocesses`."""
    return FilesTogether(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests that fork first, then the flows, which take longest and stay together.

    Once a flow has run in a process, its forks end with exit code 1: Prefect's services end at the
    exit of each fork, too, and fail.
    """

    def order(item: pytest.Item) -> tuple[bool, bool]:
        return not item.get_closest_marker("forks"), not item.nodeid.startswith("tests/flows/")

    items.sort(key=order)


class Forks:
    """Counts the forks of this process; programs started by `subprocess` are none."""

    def __init__(self) -> None:
        self.count = 0
        os.register_at_fork(before=self._count_one)

    def _count_one(self) -> None:
        self.count += 1


FORKS = Forks()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail a test that forks without saying so, as it would fail only after a flow has run."""
    before = FORKS.count
    yield
    if FORKS.count > before and not item.get_closest_marker("forks"):
        pytest.fail("the test forks its process: mark it with pytest.mark.forks", pytrace=False)
