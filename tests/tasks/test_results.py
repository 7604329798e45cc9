"""Results as Prefect keeps them: ours come back, and no other is read."""

import base64
import json
import os
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect.exceptions import SerializationError
from prefect.filesystems import LocalFileSystem
from prefect.results import ResultStore
from prefect.serializers import Serializer
from prefect.utilities.dispatch import get_registry_for_type

from lsdc.store.catalog import CatalogRecord
from lsdc.store.manifest import Manifest
from tasks.results import ResultSerializer


class Touching:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.path}",)


def pickled(path: Path) -> bytes:
    return base64.encodebytes(pickle.dumps(Touching(path)))


# Each makes a file where Prefect reads it as it asks to be read.
PLANTED: dict[str, Callable[[Path], tuple[dict[str, str] | None, bytes]]] = {
    "pickle": lambda path: ({"type": "pickle"}, pickled(path)),
    "pickle unnamed": lambda path: (None, pickled(path)),
    "pickle compressed": lambda path: (
        {"type": "compressed/pickle", "compressionlib": "zlib"},
        base64.encodebytes(zlib.compress(pickled(path))),
    ),
    "JSON of a class": lambda path: (
        {"type": "json"},
        json.dumps({"__class__": "subprocess.getoutput", "data": [f"touch {path}"]}).encode(),
    ),
    "JSON with a decoder": lambda path: (
        {"type": "json", "object_decoder": "subprocess.Popen"},
        json.dumps({"touch": 0, str(path): 0}).encode(),
    ),
}


def plant(kind: str, storage: Path, key: str, would_be_made: Path) -> None:
    """Leave a record under a key of a result storage."""
    serializer, result = PLANTED[kind](would_be_made)
    metadata = {"storage_key": key} | ({} if serializer is None else {"serializer": serializer})
    (storage / key).write_text(json.dumps({"metadata": metadata, "result": result.decode()}))


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    """One on the disk, which remembers nothing itself."""
    (tmp_path / "results").mkdir()
    return ResultStore(
        result_storage=LocalFileSystem(basepath=str(tmp_path / "results")),
        serializer=ResultSerializer(),
        cache_result_in_memory=False,
    )


@pytest.mark.parametrize(
    "result",
    [
        Manifest(stage="x", path="x/1", digest="1", rows=1, files=()),
        CatalogRecord(run="demo", sources=("1", "2")),
    ],
)
def test_results_of_ours_come_back(result: Manifest | CatalogRecord, store: ResultStore) -> None:
    store.persist_result_record(store.create_result_record(result, key="ours"))
    assert store.exists("ours")
    assert store.read("ours").result == result


def test_what_a_failure_said_comes_back_as_words(store: ResultStore) -> None:
    store.persist_result_record(store.create_result_record(ValueError("no"), key="failed"))
    assert store.read("failed").result == "ValueError: no"


@pytest.mark.parametrize("kind", PLANTED)
def test_results_that_could_run_code_are_refused(
    kind: str, store: ResultStore, tmp_path: Path
) -> None:
    plant(kind, tmp_path / "results", "planted", tmp_path / "made")
    assert not store.exists("planted")
    with pytest.raises(SerializationError, match="is not read, since it could run code"):
        store.read("planted")
    assert not (tmp_path / "made").exists()


def test_no_serializer_of_prefects_reads() -> None:
    for serializer in set((get_registry_for_type(Serializer) or {}).values()) - {ResultSerializer}:
        with pytest.raises((SerializationError, RuntimeError, NotImplementedError)):
            serializer.loads(serializer.model_construct(type="any"), b"")
