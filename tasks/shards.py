"""Shards: the studies of a stage in portions, each a task of its own, here or on a Dask cluster.

A shard's result is kept until its stage has joined them all. So a stage that is killed, or fails,
goes on with the shards that it lacks. They are joined by moving, to spare the disk; what is lost
amid that is made again.
"""

import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import BaseModel, ConfigDict

from lsdc.errors import ChildDiedError, InterruptedRunError, SettingsError, StageError
from lsdc.store.home import SHARDS
from lsdc.store.manifest import Manifest, seal
from tasks.futures import result_of
from tasks.progress import Progress, tell
from tasks.run import Run
from tasks.runners import THREADS, open_runner
from tasks.stage import Stage

# In this process: enough that the start of its readers does not count, few enough to lose.
STUDIES_HERE = 512
# On one of many cores: some seconds of work.
STUDIES_ELSEWHERE = 64

# Of `stage` for a shard, which is tried again by itself when a read fails. How far it is, its stage
# tells. Ctrl-C waits for the end of a pause.
SHARD_OPTIONS: dict[str, Any] = {
    "run_name": "{shard}",
    "retries": 3,
    "pauses_seconds": (5.0, 10.0, 20.0),
    "shared": False,
    "told": False,
}


_leaving = threading.Event()


class Shard(BaseModel):
    """A portion of a stage's studies.

    Attributes:
        stage: the stage's run, such as `crops train`.
        studies: their ids.
        files: a fingerprint of what is read of them, where no manifest holds it.
        before: how many studies the shards before have.
        total: how many studies the stage has.
        made_by: a fingerprint of the run's code and libraries.
    """

    model_config = ConfigDict(frozen=True)

    stage: str
    number: int
    of: int
    studies: tuple[int, ...]
    files: str
    before: int
    total: int
    made_by: str

    def __str__(self) -> str:
        return f"{self.stage} {self.number} of {self.of}"

    @property
    def prefix(self) -> str:
        """What the names of the stage's folders begin with."""
        return _prefix(self.stage)


def deal(
    run: Run,
    stage: str,
    kind: Stage[..., Manifest],
    studies: Iterable[int],
    files: Callable[[Iterable[int]], str] | None = None,
) -> list[Shard]:
    """The studies in portions, by their ids; one at least, if an empty one.

    Args:
        run: the run.
        stage: the stage's run, such as `crops train`.
        kind: makes a shard; its code and libraries count.
        studies: ids, in any order, any number of times.
        files: makes the fingerprint of some studies' files.
    """
    every, size = sorted(set(studies)), STUDIES_HERE if _is_here(run) else STUDIES_ELSEWHERE
    starts = range(0, max(len(every), 1), size)
    portions = [tuple(every[start : start + size]) for start in starts]
    return [
        Shard(
            stage=stage,
            number=number,
            of=len(portions),
            studies=own,
            files=files(own) if files else "",
            before=start,
            total=len(every),
            made_by=kind.made_by(),
        )
        for number, (start, own) in enumerate(zip(starts, portions, strict=True), start=1)
    ]


@contextmanager
def worked(
    kind: Stage[..., Manifest], run: Run, shards: list[Shard], **arguments: Any
) -> Iterator[list[Path]]:
    """Have every shard made, and yield the folders of what they made.

    The block joins them; after it they are removed, with what earlier runs left of this stage's.

    Args:
        kind: makes one, given `run`, `shard` and the arguments.
        run: the run.
        shards: all of the stage.
        arguments: its others.

    Raises:
        StageError: a shard's result is not in this home.
        ChildDiedError: Dask could not have a shard made.
    """
    _leaving.clear()
    folders = []
    with open_runner(run.runner, run.threads) as runner:
        try:
            futures = [
                runner.submit(kind.task, {"run": run, "shard": shard, **arguments})
                for shard in shards
            ]
            for shard, future in zip(shards, futures, strict=True):
                with _said_of_dask(shard):
                    made = result_of(future)
                folders.append(_folder(run, shard, made))
                done = shard.before + len(shard.studies)
                tell(Progress(shard.stage, done=done, total=shard.total, task_runs=1))
        except BaseException:
            _leaving.set()
            raise
    yield folders
    for folder in shards_of(run, shards[0].stage):
        shutil.rmtree(folder, ignore_errors=True)


def require_same(shard: Shard, kind: Stage[..., Manifest]) -> None:
    """Refuse to make a shard for a run that has other code or libraries.

    Raises:
        SettingsError: they differ.
    """
    if shard.made_by != kind.made_by():
        raise SettingsError(
            f"{shard}: the Dask worker on {socket.gethostname()} has other code or libraries than "
            "the run; install the run's there"
        )


def settle_shard(run: Run, shard: Shard, out: Path, *, rows: int) -> Manifest:
    """Move a shard's finished temporary folder to where it is kept; no other lies there."""
    folder = run.root / SHARDS / f"{shard.prefix}{shard.number}-{uuid4().hex[:8]}"
    out.rename(folder)
    names = sorted(entry.name for entry in folder.iterdir())
    return seal(run.root, SHARDS, folder, rows=rows, names=names)


def shards_of(run: Run, stage: str) -> list[Path]:
    """The folders of what was made so far for a stage's run, such as `crops train`."""
    return sorted((run.root / SHARDS).glob(f"{_prefix(stage)}*"))


def shard_processes(run: Run) -> int:
    """How many children read for a shard: one a thread where it has all of them."""
    return run.threads if _is_here(run) else 1


def tell_shard(shard: Shard) -> Callable[[int, int], None]:
    """A callback for library functions that count; tells the studies done of the whole stage.

    It ends the shard if the stage is being left: nobody would wait for it.
    """

    def told(done: int, total: int) -> None:
        if _leaving.is_set():
            raise InterruptedRunError(f"{shard}: the run is ending")
        own = len(shard.studies) * done // max(total, 1)
        tell(Progress(shard.stage, done=shard.before + own, total=shard.total))

    return told


def _is_here(run: Run) -> bool:
    return run.runner == THREADS


def _prefix(stage: str) -> str:
    return re.sub(r"\W+", "-", stage) + "-"


@contextmanager
def _said_of_dask(shard: Shard) -> Iterator[None]:
    """Say what became of a shard whose workers died, or whose scheduler is gone."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith("distributed"):
            raise
        raise ChildDiedError(
            f"{shard}: Dask gave it up ({type(error).__name__}: {error}); look at the logs of its "
            "workers, for memory that ran out, and Retry"
        ) from error


def _folder(run: Run, shard: Shard, made: Manifest) -> Path:
    if not made.is_intact(run.root):
        raise StageError(
            f"{shard}: {made.folder(run.root)} does not hold what was made; Dask's workers have to "
            "build in this home, on storage that all see at the same path"
        )
    return made.folder(run.root)
