"""The index of results: recorded results are read again, and foreign records are ignored."""

import base64
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from lsdc.store.catalog import CatalogRecord
from lsdc.store.manifest import Manifest
from lsdc.store.result_index import ROOM, read_result, record_result


class Touching:
    """An object that creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.path}",)


def in_a_record(serializer: dict[str, str], result: bytes) -> bytes:
    """Return a result as Prefect wraps it."""
    metadata = {"storage_key": "planted", "serializer": serializer}
    return json.dumps({"metadata": metadata, "result": result.decode()}).encode()


# Each would create a file if it were read in the format that it names.
PLANTED: dict[str, Callable[[Path], bytes]] = {
    "pickle": lambda path: pickle.dumps(Touching(path)),
    "pickle in a record": lambda path: in_a_record(
        {"type": "pickle"}, base64.encodebytes(pickle.dumps(Touching(path)))
    ),
    "JSON of a class": lambda path: json.dumps(
        {"__class__": "subprocess.getoutput", "data": [f"touch {path}"]}
    ).encode(),
    "JSON with a decoder": lambda path: in_a_record(
        {"type": "json", "object_decoder": "subprocess.Popen"},
        json.dumps({"touch": 0, str(path): 0}).encode(),
    ),
    "invalid JSON": lambda _: b"\0{",
}


@pytest.mark.parametrize(
    "result",
    [
        Manifest(stage="x", path="x/1", digest="1", rows=1, files=()),
        CatalogRecord(run="demo", sources=("1", "2")),
    ],
)
def test_recorded_results_are_read_again(result: Manifest | CatalogRecord, tmp_path: Path) -> None:
    assert read_result(tmp_path, "some stage", "key", type(result)) is None
    record_result(tmp_path, "some stage", "key", result)
    assert read_result(tmp_path, "some stage", "key", type(result)) == result
    assert read_result(tmp_path, "some stage", "other", type(result)) is None
    assert read_result(tmp_path, "other", "key", type(result)) is None


def test_result_of_another_type_is_not_returned(tmp_path: Path) -> None:
    record_result(tmp_path, "x", "key", CatalogRecord(run="demo", sources=()))
    assert read_result(tmp_path, "x", "key", Manifest) is None


@pytest.mark.parametrize("kind", PLANTED)
def test_planted_records_execute_nothing_and_are_overwritten(kind: str, tmp_path: Path) -> None:
    path = tmp_path / ROOM / "x" / "key.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(PLANTED[kind](tmp_path / "made"))
    assert read_result(tmp_path, "x", "key", Manifest) is None
    assert not (tmp_path / "made").exists()
    mine = Manifest(stage="x", path="x/1", digest="1", rows=1, files=())
    record_result(tmp_path, "x", "key", mine)
    assert read_result(tmp_path, "x", "key", Manifest) == mine
