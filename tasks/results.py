"""Results of stages: looked up by key, made once and shared between hosts.

The home has an index of its results. With a shared store, results of other hosts are fetched from
it, and results made here are published to it.
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
from lsdc.store.files import write_atomic
from lsdc.store.home import folder_lock, require_space
from lsdc.store.locks import shared_lock
from lsdc.store.manifest import Manifest
from lsdc.store.put_aside import claim_folder
from lsdc.store.remote import Checkpoint, RemoteStore
from lsdc.store.result_index import Result, read_result, record_result
from lsdc.training.events import EpochDone, Event
from lsdc.training.process import Tell, ignore
from tasks.former import keeping_oof, keeping_submission
from tasks.run import Run

log = logging.getLogger("lsdc.results")


# Next to a resume.pt: which published checkpoint it is or continues.
_CHECKPOINT_NOTE = "resume.json"


T = TypeVar("T", bound=Result)


def find_result(run: Run, stage: str, key: str, kind: type[T], *, shared: bool = True) -> T | None:
    """Return a valid stored result for a key, from the home or the shared store; else None.

    Args:
        run: the run whose home receives the result.
        stage: the stage's noun.
        key: the key of the result.
        kind: the type that the stage returns.
        shared: whether hosts share the stage's results.
    """
    found = read_result(run.root, stage, key, kind)
    if found is not None and _stands(run, found, shared=shared):
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
    make: Callable[[], T],
    *,
    shared: bool = True,
) -> T:
    """Make and record a result, once among all hosts that share a store.

    If several runs lack the same result, one makes it and the others wait and fetch it.
    """
    store = run.shared
    if store is None or not shared:
        made = make()
        record_result(run.root, stage, key, made)
        return made
    with shared_lock(store, f"{stage}-{key[:16]}", say=log.warning):
        found = find_result(run, stage, key, kind)
        if found is not None:
            return found
        made = make()
        if isinstance(made, Manifest):
            store.publish(stage, key, made, run.root)
        record_result(run.root, stage, key, made)
        return made


def _stands(run: Run, result: Result, *, shared: bool) -> bool:
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
    made, manifest = manifest, run.at_home(manifest)
    if manifest.is_intact(run.root):
        return True
    if made.path != manifest.path and made.is_intact(run.root):
        _copy(run, made, manifest)
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


def _copy(run: Run, made: Manifest, manifest: Manifest) -> None:
    with _claimed(run, manifest):
        for record in (*made.files, *made.notes):
            with write_atomic(manifest.file(run.root, record.name)) as temporary:
                shutil.copyfile(made.file(run.root, record.name), temporary)
                os.utime(temporary, ns=(record.mtime_ns, record.mtime_ns))
    log.info("%s: copied from %s, which has the same result", manifest.path, made.path)


@contextmanager
def _claimed(run: Run, manifest: Manifest) -> Iterator[None]:
    """Hold the folder of a fold's training, after moving results of other settings out of it.

    Files that a run has only one of are kept as copies, as where they are made.
    """
    folder = manifest.folder(run.root)
    if manifest.key is None:
        keeping = {"oof": keeping_oof, "submission": keeping_submission}.get(manifest.stage)
        with nullcontext() if keeping is None else keeping(folder):
            yield
        return
    with folder_lock(folder, say=log.warning):
        claim_folder(run.home, folder, manifest.key, say=log.warning)
        yield


@contextmanager
def sync_checkpoints(run: Run, key: str, folder: Path) -> Iterator[Tell]:
    """Resume a fold from the latest checkpoint of any host and publish its checkpoints.

    Fetches the checkpoint into `folder` if another host published the latest one. Yields a listener
    for the training's progress, which publishes the checkpoint in the background after each epoch.
    The last one is published on exit, whatever the reason. A failure to publish is only logged.
    """
    store = run.shared
    if store is None:
        yield ignore
        return
    _fetch_checkpoint(store, key, folder)
    due, ended = threading.Event(), threading.Event()

    def publish_those_due() -> None:
        while due.wait() and not ended.is_set():
            due.clear()
            _publish_checkpoint(store, key, folder)

    def listen(event: Event) -> None:
        if isinstance(event, EpochDone):
            due.set()

    thread = threading.Thread(target=publish_those_due, name="checkpoints", daemon=True)
    thread.start()
    try:
        yield listen
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
    with write_atomic(note) as temporary:
        temporary.write_text(checkpoint.model_dump_json(), encoding="utf-8")
