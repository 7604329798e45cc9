"""Results of stages: found by key, computed once, and shared between hosts.

The home has an index of its results. With a shared store, results of other hosts are fetched from
the store, and results of this host are published to it.
"""

import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TypeVar, cast

from lsdc.errors import DamagedError, LsdcError
from lsdc.store.files import write_atomic, write_text
from lsdc.store.home import fold_lock, require_space
from lsdc.store.locks import shared_lock
from lsdc.store.manifest import Manifest
from lsdc.store.put_aside import claim_folder
from lsdc.store.remote import Checkpoint, RemoteStore
from lsdc.store.result_index import Result, read_result, record_result
from lsdc.training.events import EpochDone, Event
from lsdc.training.process import OnEvent, ignore
from tasks.former import keeping_oof, keeping_submission
from tasks.run import Run

log = logging.getLogger("lsdc.results")


# File next to resume.pt: the published checkpoint that resume.pt is equal to, or continues.
_CHECKPOINT_NOTE = "resume.json"


T = TypeVar("T", bound=Result)


def find_result(run: Run, stage: str, key: str, kind: type[T], *, shared: bool = True) -> T | None:
    """Return a valid stored result for a key, from the home or the shared store; else None.

    Args:
        run: the run whose home receives the result.
        stage: the name of the stage.
        key: the key of the result.
        kind: the type that the stage returns.
        shared: whether the stage's results are published in the shared store.
    """
    found = read_result(run.root, stage, key, kind)
    if found is not None and _is_valid(run, found, shared=shared):
        return found
    stored = _find_in_store(run, stage, key) if shared else None
    if stored is None:
        return None
    record_result(run.root, stage, key, stored)
    return cast(T, stored)


def compute_once(
    run: Run,
    stage: str,
    key: str,
    kind: type[T],
    compute: Callable[[], T],
    *,
    shared: bool = True,
) -> T:
    """Compute and record a result, once among all hosts that share a store.

    If several runs need the same result, one computes it; the others wait and fetch it.
    """
    store = run.shared
    if store is None or not shared:
        result = compute()
        record_result(run.root, stage, key, result)
        return result
    with shared_lock(store, f"{stage}-{key[:16]}", say=log.warning):
        found = find_result(run, stage, key, kind)
        if found is not None:
            return found
        result = compute()
        if isinstance(result, Manifest):
            store.publish(stage, key, result, run.root)
        record_result(run.root, stage, key, result)
        return result


def _is_valid(run: Run, result: Result, *, shared: bool) -> bool:
    if isinstance(result, Manifest) and shared:
        return ensure_local(run, result)
    return result.is_intact(run.root)


def _find_in_store(run: Run, stage: str, key: str) -> Manifest | None:
    store = run.shared
    if store is None:
        return None
    try:
        found = store.find(stage, key)
    except DamagedError as error:
        log.warning("%s; computing it again", error)
        return None
    return found if found is not None and ensure_local(run, found) else None


def ensure_local(run: Run, manifest: Manifest) -> bool:
    """Return whether the run's home has the whole result, fetching it from the store if needed.

    The same result of another run in this home is copied.
    """
    original, manifest = manifest, run.at_home(manifest)
    if manifest.is_intact(run.root):
        return True
    if original.path != manifest.path and original.is_intact(run.root):
        _copy(run, original, manifest)
        return True
    store = run.shared
    if store is None:
        return False
    size = sum(record.bytes for record in manifest.files)
    require_space(run.home, size, what=f"{manifest.stage} of {store.url}")
    try:
        with _claimed(run, manifest):
            store.fetch(manifest, run.root)
    except FileNotFoundError as error:
        log.warning("%s: no longer in %s (%s); computing it again", manifest.path, store.url, error)
        return False
    except DamagedError as error:
        log.warning("%s: %s; computing it again", manifest.path, error)
        return False
    log.info("%s: fetched from %s, %.1f MB", manifest.path, store.url, size / 1e6)
    return True


def _copy(run: Run, original: Manifest, manifest: Manifest) -> None:
    with _claimed(run, manifest):
        for record in (*original.files, *original.notes):
            with write_atomic(manifest.file(run.root, record.name)) as temporary:
                shutil.copyfile(original.file(run.root, record.name), temporary)
                os.utime(temporary, ns=(record.mtime_ns, record.mtime_ns))
    log.info("%s: copied from %s, which has the same result", manifest.path, original.path)


@contextmanager
def _claimed(run: Run, manifest: Manifest) -> Iterator[None]:
    """Lock the folder of a fold's training, after moving results of other settings out of it.

    For all other results nothing is locked; if they replace an earlier submission or earlier
    out-of-fold predictions, a copy of those is kept.
    """
    folder = manifest.folder(run.root)
    if manifest.key is None:
        keeping = {"oof": keeping_oof, "submission": keeping_submission}.get(manifest.stage)
        with nullcontext() if keeping is None else keeping(folder):
            yield
        return
    with fold_lock(folder, say=log.warning):
        claim_folder(run.home, folder, manifest.key, say=log.warning)
        yield


@contextmanager
def sync_checkpoints(run: Run, key: str, folder: Path) -> Iterator[OnEvent]:
    """Resume a fold from the latest checkpoint of any host and publish its checkpoints.

    Fetches the checkpoint into `folder` if another host published the latest one. Yields a callback
    for the training's events, which publishes the checkpoint in the background after each epoch.
    The last checkpoint is always published on exit. A failure to publish is only logged.
    """
    store = run.shared
    if store is None:
        yield ignore
        return
    _fetch_checkpoint(store, key, folder)
    due, ended = threading.Event(), threading.Event()

    def publish_when_due() -> None:
        while due.wait() and not ended.is_set():
            due.clear()
            _publish_checkpoint(store, key, folder)

    def on_event(event: Event) -> None:
        if isinstance(event, EpochDone):
            due.set()

    thread = threading.Thread(target=publish_when_due, name="checkpoints", daemon=True)
    thread.start()
    try:
        yield on_event
    finally:
        ended.set()
        due.set()
        thread.join()
        _publish_checkpoint(store, key, folder)


def _fetch_checkpoint(store: RemoteStore, key: str, folder: Path) -> None:
    note, path = folder / _CHECKPOINT_NOTE, folder / "resume.pt"
    try:
        found = store.checkpoint(key)
        if found is None or (path.is_file() and note.is_file() and _read(note) == found):
            return  # the local one is the same or continues it
        store.fetch_checkpoint(found, path)
    except (DamagedError, FileNotFoundError) as error:
        log.warning(
            "%s: the checkpoint in %s cannot be used (%s); training without it",
            path,
            store.url,
            error,
        )
        return
    _write(note, found)
    log.info("%s: resuming from a checkpoint in %s", path, store.url)


def _publish_checkpoint(store: RemoteStore, key: str, folder: Path) -> None:
    try:
        _write(folder / _CHECKPOINT_NOTE, store.publish_checkpoint(key, folder / "resume.pt"))
    except FileNotFoundError:  # the fold is finished, or has not begun
        (folder / _CHECKPOINT_NOTE).unlink(missing_ok=True)
    except (OSError, LsdcError) as error:
        log.warning(
            "%s: the checkpoint could not be published and is on this host only: %s", folder, error
        )


def _read(note: Path) -> Checkpoint | None:
    try:
        return Checkpoint.model_validate_json(note.read_bytes())
    except ValueError:
        return None


def _write(note: Path, checkpoint: Checkpoint) -> None:
    write_text(note, checkpoint.model_dump_json())
