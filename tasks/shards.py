"""Shards: the studies of a stage in portions, each a task of its own, here or on a Dask cluster.

A shard's result is kept until its stage has joined them all. So a stage that is killed, or fails,
goes on with the shards that it lacks.
"""

import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect import Task
from prefect.context import TaskRunContext
from prefect.transactions import CommitMode, transaction
from pydantic import BaseModel, ConfigDict

from lsdc.errors import InterruptedRunError, StageError
from lsdc.store.manifest import Manifest, seal
from tasks.futures import result_of
from tasks.policies import IntactResults, Stage, stage_options
from tasks.progress import Progress, tell
from tasks.run import Run
from tasks.runners import THREADS, open_runner

# Enough that starting readers does not count, and so few that little is lost.
STUDIES_HERE = 512
# Seconds of one core's work; so many that a cluster has something to share.
STUDIES_ELSEWHERE = 64
FOLDER = "shards"

_leaving = threading.Event()


class Shard(BaseModel):
    """A portion of a stage's studies.

    Attributes:
        studies: their ids.
        files: a fingerprint of what is read of them, where no manifest holds it.
        before: how many studies the shards before have.
        total: how many studies the stage has.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    of: int
    studies: tuple[int, ...]
    files: str
    before: int
    total: int

    def __str__(self) -> str:
        return f"{self.number} of {self.of}"


def shard_options(stage: Stage, *, run_name: str) -> dict[str, Any]:
    """The arguments of `@task` for a shard, which is tried again by itself when a read fails."""
    options = stage_options(stage, run_name=run_name, timeout_hours=6, retries=3)
    # How far it is, its stage tells.
    return options | {"on_running": None, "on_completion": None, "on_failure": None}


def deal(
    run: Run, studies: Iterable[int], files: Callable[[Iterable[int]], str] | None = None
) -> list[Shard]:
    """The studies in portions, by their ids; one at least, if an empty one.

    Args:
        run: the run.
        studies: ids, in any order, any number of times.
        files: makes the fingerprint of some studies' files.
    """
    every, size = sorted(set(studies)), STUDIES_HERE if _is_here(run) else STUDIES_ELSEWHERE
    starts = range(0, max(len(every), 1), size)
    portions = [tuple(every[start : start + size]) for start in starts]
    return [
        Shard(
            number=number,
            of=len(portions),
            studies=own,
            files=files(own) if files else "",
            before=start,
            total=len(every),
        )
        for number, (start, own) in enumerate(zip(starts, portions, strict=True), start=1)
    ]


@contextmanager
def worked(
    task: Task[..., Manifest], run: Run, name: str, shards: list[Shard], **arguments: Any
) -> Iterator[list[Path]]:
    """Have a task run for every shard, and yield the folders of what they made.

    The block joins them; they are removed after it.

    Args:
        task: takes `run`, `shard` and the arguments.
        run: the run.
        name: the stage's run, whose progress is told.
        shards: all of the stage.
        arguments: the task's others.

    Raises:
        StageError: a shard's result is another version's, or is not in this home.
    """
    _leaving.clear()
    folders = []
    # Else Prefect would keep no shard's result but with the stage's own.
    with open_runner(run.runner, run.threads) as runner, transaction(commit_mode=CommitMode.EAGER):
        try:
            given = [{"run": run, "shard": shard, **arguments} for shard in shards]
            futures = [runner.submit(task, each) for each in given]
            for shard, future, each in zip(shards, futures, given, strict=True):
                folders.append(_folder(run, f"{name} {shard}", result_of(future), _key(task, each)))
                tell(Progress(name, done=shard.before + len(shard.studies), total=shard.total))
        except BaseException:
            _leaving.set()
            raise
    yield folders
    for folder in folders:
        shutil.rmtree(folder)


def shard_processes(run: Run) -> int:
    """How many children read for a shard: one a thread where it has all of them."""
    return run.threads if _is_here(run) else 1


def settle_shard(run: Run, out: Path, *, rows: int) -> Manifest:
    """Move the finished temporary folder of the shard whose task runs to where `worked` looks."""
    context = TaskRunContext.get()
    assert context is not None
    folder = run.root / FOLDER / _key(context.task, context.parameters)
    shutil.rmtree(folder, ignore_errors=True)  # damaged, or the task would not have run
    out.rename(folder)
    names = sorted(entry.name for entry in folder.iterdir())
    return seal(run.root, FOLDER, folder, rows=rows, names=names)


def tell_shard(name: str, shard: Shard) -> Callable[[int, int], None]:
    """A callback for library functions that count; tells the studies done of the whole stage.

    It ends the shard if the stage is being left: nobody would wait for it.
    """

    def told(done: int, total: int) -> None:
        if _leaving.is_set():
            raise InterruptedRunError(f"{name} {shard}: the run is ending")
        own = len(shard.studies) * done // max(total, 1)
        tell(Progress(name, done=shard.before + own, total=shard.total))

    return told


def _is_here(run: Run) -> bool:
    return run.runner == THREADS


def _key(task: Task[..., Any], arguments: Mapping[str, Any]) -> str:
    policy = task.cache_policy
    assert isinstance(policy, IntactResults)
    return policy.stage.key(arguments)[:16]


def _folder(run: Run, name: str, made: Manifest, key: str) -> Path:
    if made.path != f"{FOLDER}/{key}":
        raise StageError(
            f"{name}: its Dask worker has other code or libraries than this run; install the "
            "run's there"
        )
    if not made.is_intact(run.root):
        raise StageError(
            f"{name}: {made.folder(run.root)} does not hold what was made; Dask's workers have to "
            "build in this home, on storage that all see at the same path"
        )
    return made.folder(run.root)
