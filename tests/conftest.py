"""What all tests share: one small phantom, and the real data where it is at hand."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from lsdc.challenges.lumbar.phantom.writer import write_phantom
from tests.object_storage import s3_server
from tests.postgres import has_postgresql, postgresql

# A shell that starts the tests in the background has them ignore interrupts, children included.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom competition of 6 training and 2 test studies, 64 px; not to be written to."""
    root = tmp_path_factory.mktemp("phantom") / "competition"
    write_phantom(root, studies=6, test=2, seed=3, max_size=64)
    return root


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of LSDC_REAL_DATA, with `competition/` and `oof/`."""
    root = os.environ.get("LSDC_REAL_DATA")
    if not root:
        pytest.skip("LSDC_REAL_DATA is not set: no real tables or study at hand")
    return Path(root)


@pytest.fixture(scope="session")
def object_storage() -> Iterator[dict[str, str]]:
    """An S3 server: the environment of those who use it."""
    with s3_server() as environment:
        yield environment


@pytest.fixture(scope="session")
def database() -> Iterator[str]:
    """The address of a database of a PostgreSQL server."""
    if not has_postgresql():
        pytest.skip("no PostgreSQL is installed: locks in it are not tested")
    with postgresql() as cluster:
        yield cluster.create("lsdc")


@pytest.fixture
def bucket(object_storage: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a bucket of its own, which this process and its children can use."""
    import fsspec

    for name, value in object_storage.items():
        monkeypatch.setenv(name, value)
    name = f"lsdc-{uuid4().hex}"
    fsspec.filesystem("s3", use_listings_cache=False).mkdir(name)
    return f"s3://{name}"


class FilesTogether(LoadFileScheduling):
    """How processes share the tests: by file, and all files of the flows to one.

    These share a Prefect server and the homes of whole runs. Faults are for both: each process has
    an installation of its own, in which they all wait more than they work.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        if file == "tests/flows/test_pool_faults.py":
            return nodeid
        return "tests/flows" if file.startswith("tests/flows/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FilesTogether:
    """The scheduler of `--numprocesses`."""
    return FilesTogether(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The flows first: what takes longest and cannot be shared must not come last."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/flows/"))
