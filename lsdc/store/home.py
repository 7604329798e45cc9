"""The home: one folder for all derived data, with a schema version, a lock and logs.

home.json                  the schema version
catalog.duckdb             tables of all runs
headers/                   cached file headers, valid while a file's size and mtime are unchanged
index/ folds/ ... crops/   results of stages; the name of a folder is a digest of its content
runs/NAME/fold-K/          models, predictions and scores of a run; run.json describes the run
runs/NAME/judge-J-K/       models without two folds, which judge the labels of both
shards/                    finished shards of stages that are not complete yet
replaced/                  folds superseded by the same run on changed data or code
costs/                     time and memory of the results that were computed here
results/                   index of the stages' results by key, as JSON
prefect/                   Prefect's database
logs/                      one log per run and flow run; output of child processes and the server
"""

import fcntl
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import BaseFileLock, Timeout

from lsdc.errors import DataError, HomeBusyError, NoSpaceError
from lsdc.names import is_run_name, require_run_name
from lsdc.store.file_locks import file_lock, is_lockless, take_lock
from lsdc.store.files import free_bytes, write_text
from lsdc.typed_paths import from_root

SCHEMA = 1
TRAINED = ("fold-*", "judge-*")  # the folders of a run's trainings
SHARDS = "shards"
_HOLDER = ".builder.json"
_NO_HOME = "{root}: not a home, expected one that a run created; give it as --home"


@dataclass(frozen=True)
class Home:
    """An opened home, as returned by `open_home`."""

    root: Path

    @property
    def catalog(self) -> Path:
        """The DuckDB catalog."""
        return self.root / "catalog.duckdb"

    @property
    def prefect(self) -> Path:
        """Prefect's database and results."""
        return self.root / "prefect"

    @property
    def logs(self) -> Path:
        """One log per run and flow run, and the output of child processes and of the server."""
        return self.root / "logs"

    @property
    def phantoms(self) -> list[Path]:
        """The phantom competitions, used by runs without data of their own."""
        return [each for each in sorted(self.root.glob("phantom*")) if each.is_dir()]

    @property
    def headers(self) -> Path:
        """Cached file headers, reused by the next index."""
        return self.root / "headers"

    @property
    def runs(self) -> Path:
        """The folders of runs."""
        return self.root / "runs"

    @property
    def replaced(self) -> Path:
        """Superseded folds."""
        return self.root / "replaced"

    def run(self, name: str) -> Path:
        """Return a run's folder.

        Raises:
            SettingsError: the name is not valid for a folder in `runs/`.
        """
        require_run_name(name, str(self.runs))
        return self.runs / name

    def run_folders(self) -> list[Path]:
        """Return the folders of all runs; other entries of `runs/` are ignored."""
        return [
            each for each in sorted(self.runs.glob("*")) if is_run_name(each.name) and each.is_dir()
        ]

    def fold(self, run: str, fold: int) -> Path:
        """Return a fold's folder."""
        return self.run(run) / f"fold-{fold}"

    def judge(self, run: str, folds: tuple[int, int]) -> Path:
        """Return the folder of the model that was trained without these two folds."""
        return self.run(run) / "judge-{}-{}".format(*folds)


def resolve_home(home: Path | None) -> Path:
    """Return the given folder, else LSDC_HOME, else ./lsdc-home."""
    return from_root(home or Path(os.environ.get("LSDC_HOME") or "lsdc-home"))


def open_home(root: Path) -> Home:
    """Open the home at `root`, creating it if the folder is empty or absent.

    Raises:
        DataError: the folder is not a home, has another schema version, or its file system has no
            locks.
    """
    marker = root / "home.json"
    if marker.is_file():
        _check_schema(marker)
    else:
        _found_home(root, marker)
    _require_locks(marker)
    return Home(root)


def existing_home(root: Path) -> Home:
    """Open the home at `root`, which must exist.

    Raises:
        DataError: there is no home, or it cannot be used.
    """
    if not (root / "home.json").is_file():
        raise DataError(_NO_HOME.format(root=root))
    return open_home(root)


def look_at_home(root: Path) -> Home:
    """Open the home at `root` for reading only: take no lock, write nothing.

    Raises:
        DataError: there is no home, or it has another schema version.
    """
    if not (root / "home.json").is_file():
        raise DataError(_NO_HOME.format(root=root))
    _check_schema(root / "home.json")
    return Home(root)


def _found_home(root: Path, marker: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
        strangers = [entry.name for entry in root.iterdir() if not entry.name.startswith(".")]
        if strangers:
            raise DataError(
                f"{root}: expected an empty folder or a home with home.json, found "
                f"{sorted(strangers)[0]!r}; choose another --home"
            )
        write_text(marker, json.dumps({"schema": SCHEMA}) + "\n")
    except OSError as error:
        raise DataError(f"{root}: cannot be used as a home: {error.strerror}") from error


def _require_locks(marker: Path) -> None:
    with marker.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # a shared lock blocks nobody
        except OSError as error:
            if is_lockless(error):
                raise DataError(
                    f"{marker.parent}: its file system has no locks ({error.strerror}), so two "
                    "runs could write the same files; choose a --home on a file system with locks"
                ) from error
            raise


def _check_schema(marker: Path) -> None:
    try:
        schema = json.loads(marker.read_text(encoding="utf-8"))["schema"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{marker}: expected a schema version, found something else; choose another --home"
        ) from error
    if schema != SCHEMA:
        raise DataError(
            f"{marker}: schema {schema}, this version reads {SCHEMA}; "
            "update lsdc or choose another --home"
        )


@contextmanager
def build_lock(
    home: Home, *, wait: bool, say: Callable[[str], None], timeout: float | None = None
) -> Iterator[None]:
    """Lock the home for a run; a second run waits, or is refused if `wait` is false.

    The operating system releases the lock of a killed process.

    Args:
        home: the home.
        wait: whether to wait while another run holds the lock.
        say: called with a message before waiting.
        timeout: how many seconds to wait; by default without limit.

    Raises:
        HomeBusyError: another run holds the lock, and `wait` is false or `timeout` has passed.
    """
    lock = _build_lock(home)
    _acquire(lock, home, wait=wait, say=say, timeout=timeout)
    try:
        yield
    finally:
        _release(lock, home)


@contextmanager
def lend_lock(home: Home, *, say: Callable[[str], None]) -> Iterator[None]:
    """Release the lock of the home in the block, so that other runs can use it meanwhile.

    If this process held the lock, it takes the lock again after the block. It does not after an
    error, because the process then exits.
    """
    lock = _build_lock(home)
    held = lock.is_locked
    if held:
        _release(lock, home)
    yield
    if held:
        _acquire(lock, home, wait=True, say=say)


def _build_lock(home: Home) -> BaseFileLock:
    return file_lock(home.root / ".build.lock", is_singleton=True, thread_local=False)


def _acquire(
    lock: BaseFileLock,
    home: Home,
    *,
    wait: bool,
    say: Callable[[str], None],
    timeout: float | None = None,
) -> None:
    holder = home.root / _HOLDER
    try:
        lock.acquire(timeout=0)
    except Timeout:
        message = f"{home.root}: {_describe_holder(holder)} is using this home"
        refused = HomeBusyError(f"{message}; wait until it ends, or choose another --home")
        if not wait:
            raise refused from None
        say(f"{message}; waiting for it to end")
        try:
            lock.acquire(timeout=-1 if timeout is None else timeout)
        except Timeout:
            raise refused from None
    facts = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}
    write_text(holder, json.dumps(facts))


def _release(lock: BaseFileLock, home: Home) -> None:
    if lock.is_locked:  # else `lend_lock` has released it, and another process may hold it
        (home.root / _HOLDER).unlink(missing_ok=True)
        lock.release()


def _describe_holder(holder: Path) -> str:
    found = _read_holder(holder)
    return "another run" if found is None else str(found)


@dataclass(frozen=True)
class Holder:
    """The process that has locked a home, and since when, in seconds since 1970."""

    host: str
    pid: int
    since: float

    def __str__(self) -> str:
        """Name the process, and for how long it has held the lock."""
        minutes = (time.time() - self.since) / 60
        return f"process {self.pid} on {self.host} (for {minutes:.0f} min)"


def noted_holder(home: Home) -> Holder | None:
    """Return the process that has locked the home, as noted; a killed one leaves its note."""
    return _read_holder(home.root / _HOLDER)


def _read_holder(note: Path) -> Holder | None:
    try:
        facts = json.loads(note.read_text(encoding="utf-8"))
        return Holder(str(facts["host"]), int(facts["pid"]), float(facts["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextmanager
def fold_lock(folder: Path, *, say: Callable[[str], None]) -> Iterator[None]:
    """Lock a fold's folder while it is trained; a second training waits, then finds the result.

    The home need not be locked: folds are trained in parallel, also while another run uses it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = _fold_lock(folder)
    take_lock(lock, lambda: say(f"{folder}: another run trains this fold; waiting for it to end"))
    try:
        yield
    finally:
        lock.release()


def _fold_lock(folder: Path) -> BaseFileLock:
    return file_lock(folder.with_name(f".{folder.name}.lock"))


def _is_being_trained(folder: Path) -> bool:
    lock = _fold_lock(folder)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def require_space(home: Home, needed: int, *, what: str) -> None:
    """Require free disk space before `what` begins.

    Raises:
        NoSpaceError: fewer than 1.1 times `needed` bytes are free.
    """
    free = free_bytes(home.root)
    if free < 1.1 * needed:
        raise NoSpaceError(
            f"{home.root}: {what} needs {needed / 1e9:.2f} GB, {free / 1e9:.2f} GB are free; "
            "free disk space (see 'lsdc clean'), or choose another --home"
        )


def find_leftovers(home: Home) -> list[Path]:
    """Find temporary files and folders that killed runs left, without those inside others."""
    patterns = (".writing-*", ".replaced-*", ".*.unfinished-*")
    found = {path for pattern in patterns for path in home.root.rglob(pattern)}
    found = {path for path in found if home.prefect not in path.parents}  # servers take no lock
    runs = [run for run in home.runs.glob("*") if not run.is_symlink()]
    trained = [each for run in runs for name in TRAINED for each in run.glob(name)]
    in_use = {folder for folder in trained if _is_being_trained(folder)}
    found = {path for path in found if not in_use.intersection(path.parents)}
    return sorted(path for path in found if not found.intersection(path.parents))


def remove_leftovers(home: Home) -> None:
    """Remove what killed runs left behind; call it under the build lock only."""
    for leftover in find_leftovers(home):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)
