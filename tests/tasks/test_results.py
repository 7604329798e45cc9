"""Two homes with a shared store: each result is computed once and is the same in both."""

import logging
import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import fsspec
import pytest

from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.errors import SettingsError
from lsdc.store.files import write_folder
from lsdc.store.manifest import Manifest, make_manifest, store_folder
from lsdc.store.put_aside import claim_fold
from lsdc.store.remote import RemoteStore
from lsdc.training.events import EpochDone
from tasks.request import RunRequest
from tasks.results import compute_once, ensure_local, sync_checkpoints
from tasks.run import Run, open_run

KEY = "a" * 64
EPOCH = EpochDone(epoch=1, epochs=2, loss=0.5, validation_loss=0.5, score=0.4)


def host(phantom: Path, home: Path) -> Run:
    return open_run(LumbarRun, RunRequest.of(experiment="demo", data=phantom, home=home, folds=2))


@pytest.fixture
def hosts(phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Run, Run]:
    """Return two runs in separate homes with a store on a path."""
    monkeypatch.setenv("LSDC_STORE", str(tmp_path / "store"))
    return host(phantom, tmp_path / "one"), host(phantom, tmp_path / "two")


@pytest.fixture
def on_s3(bucket: str, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a store in a bucket, with locks in PostgreSQL."""
    monkeypatch.setenv("LSDC_STORE", bucket)
    monkeypatch.setenv("LSDC_DATABASE_URL", database)


def build(run: Run, built: Path) -> Manifest:
    with built.open("a") as file:
        file.write("once\n")
    with write_folder(run.root / "crops") as out:
        (out / "crops.npy").write_bytes(b"pixels" * 1000)
        return store_folder(run.root, "crops", out, rows=1)


def build_at_once(phantom: Path, home: Path, built: Path, start: Barrier) -> None:
    run = host(phantom, home)
    start.wait()
    manifest = compute_once(run, "crops", KEY, Manifest, lambda: build(run, built))
    assert manifest.is_intact(run.root)


@pytest.mark.usefixtures("on_s3")
def test_two_hosts_at_the_same_time_compute_a_result_once(phantom: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start, built = context.Barrier(2), tmp_path / "built"
    homes = [tmp_path / name for name in ("one", "two")]
    processes = [
        context.Process(target=build_at_once, args=(phantom, home, built, start)) for home in homes
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert built.read_text() == "once\n"
    first, second = (next(home.glob("crops/*/crops.npy")) for home in homes)
    assert first.read_bytes() == second.read_bytes()
    assert first.relative_to(homes[0]) == second.relative_to(homes[1])


def test_run_on_object_storage_without_postgresql_is_refused(
    phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSDC_STORE", "s3://bucket/prefix")
    monkeypatch.delenv("LSDC_DATABASE_URL", raising=False)
    with pytest.raises(SettingsError, match="object storage has no locks"):
        host(phantom, tmp_path / "home")
    assert not (tmp_path / "home").exists()


def test_damaged_result_is_reported_and_computed_again(
    hosts: tuple[Run, Run], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = hosts
    built = tmp_path / "built"
    made = compute_once(one, "crops", KEY, Manifest, lambda: build(one, built))
    (stored,) = (tmp_path / "store" / "objects").glob("*/*")
    stored.write_bytes(b"pixelz" * 1000)

    with caplog.at_level(logging.WARNING, "lsdc"):
        again = compute_once(two, "crops", KEY, Manifest, lambda: build(two, built))
    assert again.digest == made.digest
    assert f"expected {made.files[0].digest[:16]}" in caplog.text
    assert "computing it again" in caplog.text
    assert built.read_text() == "once\n" * 2
    assert stored.read_bytes() == b"pixels" * 1000


def test_fetched_fold_does_not_overwrite_another_training(hosts: tuple[Run, Run]) -> None:
    one, two = hosts
    folder = claim_fold(one.home, "demo", 0, KEY, say=print)
    for name in ("oof.parquet", "fit.json", "notes.txt"):
        (folder / name).write_text(name)
    made = make_manifest(
        one.root, "train", folder, rows=1, names=["oof.parquet"], key=KEY, notes=["fit.json"]
    )
    compute_once(one, "train", KEY, Manifest, lambda: made)
    other = claim_fold(two.home, "demo", 0, "b" * 64, say=print)
    (other / "model.safetensors").write_text("weights of b")

    assert ensure_local(two, made)

    assert sorted(path.name for path in other.iterdir()) == ["fit.json", "key", "oof.parquet"]
    assert claim_fold(two.home, "demo", 0, "b" * 64, say=print) == other
    assert (other / "model.safetensors").read_text() == "weights of b"


def test_training_resumes_from_the_checkpoint_of_another_host(hosts: tuple[Run, Run]) -> None:
    one, two = (claim_fold(run.home, "demo", 0, KEY, say=print) / "resume.pt" for run in hosts)
    with sync_checkpoints(hosts[0], KEY, one.parent) as listen:
        one.write_bytes(b"one's first epoch")
        listen(EPOCH)
    with sync_checkpoints(hosts[1], KEY, two.parent):
        assert two.read_bytes() == b"one's first epoch"
        two.write_bytes(b"two's second epoch")  # saved on SIGTERM
    with sync_checkpoints(hosts[0], KEY, one.parent):
        assert one.read_bytes() == b"two's second epoch"


def test_newer_local_checkpoint_is_not_replaced(hosts: tuple[Run, Run]) -> None:
    path = claim_fold(hosts[0].home, "demo", 0, KEY, say=print) / "resume.pt"
    with sync_checkpoints(hosts[0], KEY, path.parent):
        path.write_bytes(b"first epoch")
    path.write_bytes(b"steps of the second")  # killed before it was published
    with sync_checkpoints(hosts[0], KEY, path.parent):
        assert path.read_bytes() == b"steps of the second"


def test_damaged_checkpoint_is_reported_and_not_used(
    hosts: tuple[Run, Run], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = (claim_fold(run.home, "demo", 0, KEY, say=print) / "resume.pt" for run in hosts)
    with sync_checkpoints(hosts[0], KEY, one.parent):
        one.write_bytes(b"first epoch")
    (stored,) = (tmp_path / "store" / "objects").glob("*/*")
    stored.write_bytes(b"first ep")
    with caplog.at_level(logging.WARNING, "lsdc"), sync_checkpoints(hosts[1], KEY, two.parent):
        assert not two.exists()
    assert "training without it" in caplog.text


def test_training_continues_if_its_checkpoint_cannot_be_published(
    hosts: tuple[Run, Run], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = claim_fold(hosts[0].home, "demo", 0, KEY, say=print) / "resume.pt"
    (tmp_path / "store").mkdir(exist_ok=True)
    (tmp_path / "store" / "objects").write_text("no folder")
    with (
        caplog.at_level(logging.WARNING, "lsdc"),
        sync_checkpoints(hosts[0], KEY, path.parent) as listen,
    ):
        path.write_bytes(b"first epoch")
        listen(EPOCH)
    assert "and is on this host only" in caplog.text


@pytest.mark.usefixtures("on_s3")
def test_store_contains_no_secrets(
    phantom: Path, tmp_path: Path, bucket: str, object_storage: dict[str, str]
) -> None:
    run = host(phantom, tmp_path / "home")
    made = compute_once(run, "crops", KEY, Manifest, lambda: build(run, tmp_path / "built"))
    written = RemoteStore(bucket).find("crops", KEY)
    secret = object_storage["AWS_SECRET_ACCESS_KEY"]
    assert secret not in f"{run!r}{run.model_dump_json()}{made.model_dump_json()}{written!r}"
    system = fsspec.filesystem("s3", use_listings_cache=False)
    assert all(secret.encode() not in system.cat_file(path) for path in system.find(bucket))
