"""The shared store, on a path and in S3: results in it are complete, or are refused."""

import json
import multiprocessing
import os
import signal
from pathlib import Path

import fsspec
import pytest

from lsdc.errors import DamagedError, SettingsError, StoreError
from lsdc.store.files import write_folder
from lsdc.store.locks import require_locks
from lsdc.store.manifest import Manifest, store_folder
from lsdc.store.remote import RemoteStore, open_store

KEY = "a" * 64


@pytest.fixture(params=["path", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of a store."""
    if request.param == "path":
        return str(tmp_path / "store")
    return f"{request.getfixturevalue('bucket')}/lsdc"


@pytest.fixture
def store(url: str) -> RemoteStore:
    opened = open_store(url)
    assert opened is not None
    opened.require()
    return opened


def settle_crops(home: Path) -> Manifest:
    with write_folder(home / "crops") as out:
        (out / "crops.npy").write_bytes(b"pixels" * 1000)
        (out / "samples.parquet").write_bytes(b"rows")
        return store_folder(home, "crops", out, rows=1)


def objects(url: str) -> dict[str, str]:
    """Return the addresses of the objects in the store by digest."""
    scheme = "s3" if url.startswith("s3://") else "file"
    system = fsspec.filesystem(scheme, use_listings_cache=False)
    return {path.rpartition("/")[2]: path for path in system.find(f"{url}/objects")}


def write(url: str, path: str, content: bytes) -> None:
    fsspec.filesystem("s3" if url.startswith("s3://") else "file").pipe_file(path, content)


def test_published_result_is_fetched_completely_by_another_host(
    store: RemoteStore, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    manifest = settle_crops(here)
    store.publish("crops", KEY, manifest, here)

    found = store.find("crops", KEY)
    assert found == manifest
    assert not found.is_intact(there)
    store.fetch(found, there)

    for record in found.files:
        mine, theirs = manifest.file(here, record.name), found.file(there, record.name)
        assert mine.read_bytes() == theirs.read_bytes()
        assert mine.stat().st_mtime_ns == theirs.stat().st_mtime_ns
    assert store.find("crops", "b" * 64) is None
    assert store.find("index", KEY) is None


def publish_and_die(url: str, home: Path, puts: int) -> None:
    """Publish, and kill this process after `puts` files are uploaded."""
    put = RemoteStore._put
    done: list[str] = []

    def dying(store: RemoteStore, local: Path, name: str) -> None:
        if len(done) == puts:
            os.kill(os.getpid(), signal.SIGKILL)
        put(store, local, name)
        done.append(name)

    def die(store: RemoteStore, name: str, text: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    RemoteStore._put = dying  # type: ignore[method-assign]
    RemoteStore._write = die  # type: ignore[method-assign]
    RemoteStore(url).publish("crops", KEY, settle_crops(home), home)


def test_killed_upload_is_not_found_and_is_repeated(
    store: RemoteStore, url: str, tmp_path: Path
) -> None:
    context = multiprocessing.get_context("spawn")
    for puts in (1, 2):
        process = context.Process(target=publish_and_die, args=(url, tmp_path / "here", puts))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert store.find("crops", KEY) is None
    assert len(objects(url)) == 2  # files that no manifest names

    store.publish("crops", KEY, settle_crops(tmp_path / "here"), tmp_path / "here")
    found = store.find("crops", KEY)
    assert found is not None
    store.fetch(found, tmp_path / "there")
    assert found.is_intact(tmp_path / "there")


def test_damaged_object_is_refused(store: RemoteStore, url: str, tmp_path: Path) -> None:
    manifest = settle_crops(tmp_path / "here")
    store.publish("crops", KEY, manifest, tmp_path / "here")
    crops = next(record for record in manifest.files if record.name == "crops.npy")
    write(url, objects(url)[crops.digest], b"pixelz" * 1000)

    with pytest.raises(DamagedError, match=rf"expected {crops.digest[:16]}.*is not used"):
        store.fetch(manifest, tmp_path / "there")
    assert not manifest.file(tmp_path / "there", "crops.npy").exists()

    store.publish("crops", KEY, manifest, tmp_path / "here")  # this repairs it
    store.fetch(manifest, tmp_path / "there")
    assert manifest.is_intact(tmp_path / "there")


def test_missing_object_is_an_error(store: RemoteStore, url: str, tmp_path: Path) -> None:
    manifest = settle_crops(tmp_path / "here")
    store.publish("crops", KEY, manifest, tmp_path / "here")
    system = fsspec.filesystem("s3" if url.startswith("s3://") else "file")
    for path in objects(url).values():
        system.rm_file(path)
    with pytest.raises(FileNotFoundError):
        store.fetch(manifest, tmp_path / "there")


@pytest.mark.parametrize("name", ["../../thesis.txt", "/etc/motd"])
def test_manifest_with_files_outside_the_home_is_refused(name: str, tmp_path: Path) -> None:
    store = RemoteStore(str(tmp_path / "store"))
    manifest = settle_crops(tmp_path / "here")
    store.publish("crops", KEY, manifest, tmp_path / "here")
    bad = manifest.files[0].model_copy(update={"name": name})
    with pytest.raises(DamagedError, match="outside of"):
        store.fetch(manifest.model_copy(update={"files": (bad,)}), tmp_path / "there")


def test_invalid_manifest_is_refused(store: RemoteStore, url: str, tmp_path: Path) -> None:
    manifest = settle_crops(tmp_path / "here")
    store.publish("crops", KEY, manifest, tmp_path / "here")
    write(url, f"{url}/stages/crops/{KEY}.json", json.dumps({"stage": "crops"}).encode())
    with pytest.raises(DamagedError, match=rf"{KEY}\.json: no Manifest"):
        store.find("crops", KEY)


def test_checkpoint_replaces_the_previous_one_and_is_removed_with_the_result(
    store: RemoteStore, url: str, tmp_path: Path
) -> None:
    path, there = tmp_path / "resume.pt", tmp_path / "there" / "resume.pt"
    assert store.checkpoint(KEY) is None
    for epoch in (b"first epoch", b"second epoch"):
        path.write_bytes(epoch)
        made = store.publish_checkpoint(KEY, path)
        assert list(objects(url)) == [made.digest]
        assert store.checkpoint(KEY) == made
        store.fetch_checkpoint(made, there)
        assert there.read_bytes() == epoch

    store.publish("train", KEY, settle_crops(tmp_path / "here"), tmp_path / "here")
    assert store.checkpoint(KEY) is None
    assert len(objects(url)) == 2


def test_checkpoint_with_a_damaged_record_is_replaced(
    store: RemoteStore, url: str, tmp_path: Path
) -> None:
    path = tmp_path / "resume.pt"
    path.write_bytes(b"first epoch")
    made = store.publish_checkpoint(KEY, path)
    write(url, f"{url}/checkpoints/{KEY}.json", b"{")
    with pytest.raises(DamagedError, match="no Checkpoint"):
        store.checkpoint(KEY)
    assert store.publish_checkpoint(KEY, path) == made
    assert store.checkpoint(KEY) == made


def test_missing_bucket_is_an_error(bucket: str) -> None:
    with pytest.raises(StoreError, match=r"s3://no-such-bucket-of-lsdc.*create it first"):
        RemoteStore("s3://no-such-bucket-of-lsdc/x").require()


def test_given_store_overrides_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LSDC_STORE", raising=False)
    assert open_store() is None
    monkeypatch.setenv("LSDC_STORE", "s3://bucket/prefix/")
    assert open_store() == RemoteStore("s3://bucket/prefix")
    assert open_store(str(tmp_path)) == RemoteStore(str(tmp_path))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://bucket/prefix", r"expected a path or s3://BUCKET/PREFIX"),
        ("s3://", r"expected a path or s3://BUCKET/PREFIX"),
        ("s3://key:geheim@bucket/prefix", "expected an address without a password"),
    ],
)
def test_invalid_address_of_a_store_is_refused(url: str, why: str) -> None:
    with pytest.raises(SettingsError, match=why) as refused:
        open_store(url)
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize("named", [None, "sqlite:///somewhere.db"])
def test_object_storage_without_postgresql_is_refused(
    named: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LSDC_DATABASE_URL", raising=False)
    if named is not None:
        monkeypatch.setenv("LSDC_DATABASE_URL", named)
    with pytest.raises(SettingsError, match=r"set LSDC_DATABASE_URL=postgresql://"):
        require_locks(RemoteStore("s3://bucket/prefix"))
    require_locks(RemoteStore(str(tmp_path)))  # its file system has locks
