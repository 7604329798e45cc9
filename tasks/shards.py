"""Shards: parts of a stage's work. Each is a separate task, on this host or a Dask cluster.

What is divided are units of about the size of a study, each with a name: studies by their ids, or
parts of a folder of files by their numbers.

A shard's result is kept until its stage has joined all shards, so a stage that was killed or failed
resumes with the missing shards. Shards are joined by moving their files, to save disk space; a
shard that loses files by an interrupted join is computed again.
"""

import re
import shutil
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from prefect.transactions import CommitMode, transaction
from pydantic import BaseModel, ConfigDict

from lsdc.errors import ChildDiedError, InterruptedRunError, SettingsError, StageError
from lsdc.run_context import run_context
from lsdc.store.home import SHARDS, require_space
from lsdc.store.manifest import Manifest, make_manifest
from tasks.prefect_runs import result_of
from tasks.progress import Progress, report_progress
from tasks.run import Run
from tasks.runners import THREADS, open_runner
from tasks.stage import Stage

# Units per shard on this host: so many that the start of the readers takes a small part of the
# time, so few that little work is lost if the run is killed.
UNITS_HERE = 512
# Units per shard on a Dask cluster, where a shard has one core: some seconds of work.
UNITS_ELSEWHERE = 64

_Name = TypeVar("_Name", int, str)

# Options of `stage` for a shard, which is retried by itself when a read fails. Its stage reports
# the progress. The delays are short, because Ctrl-C waits for the end of a delay.
SHARD_OPTIONS: dict[str, Any] = {
    "run_name": "{shard}",
    "retries": 3,
    "retry_delays_seconds": (5.0, 10.0, 20.0),
    "shared": False,
    "shown": False,
}


class Shard(BaseModel):
    """A part of a stage's units.

    Attributes:
        stage: the name of the stage's task run, such as `crops train`.
        number: the number of the shard, from 1.
        of: the number of shards.
        names: the names of the units, such as the ids of studies.
        files: a fingerprint of the files that the shard reads, if no manifest has it; else empty.
        before: the number of units in earlier shards.
        total: the number of units in the stage.
        code_fingerprint: a fingerprint of the run's code and library versions.
    """

    model_config = ConfigDict(frozen=True)

    stage: str
    number: int
    of: int
    names: tuple[int, ...] | tuple[str, ...]
    files: str
    before: int
    total: int
    code_fingerprint: str

    def __str__(self) -> str:
        return f"{self.stage} {self.number} of {self.of}"

    @property
    def prefix(self) -> str:
        """The prefix of the names of the stage's folders."""
        return _prefix(self.stage)


def split_into_shards(
    run: Run,
    stage: str,
    kind: Stage[..., Manifest],
    names: Iterable[_Name],
    files: Callable[[Iterable[_Name]], str] | None = None,
) -> list[Shard]:
    """Split units into shards by name; return at least one shard, which may be empty.

    Args:
        run: the run.
        stage: the name of the stage's task run, such as `crops train`.
        kind: the stage that makes a shard.
        names: the units' names, in any order, possibly repeated.
        files: function that returns the fingerprint of the files of some units.
    """
    every, size = sorted(set(names)), UNITS_HERE if _is_here(run) else UNITS_ELSEWHERE
    starts = range(0, max(len(every), 1), size)
    portions = [tuple(every[start : start + size]) for start in starts]
    return [
        Shard(
            stage=stage,
            number=number,
            of=len(portions),
            names=own,
            files=files(own) if files else "",
            before=start,
            total=len(every),
            code_fingerprint=kind.code_fingerprint(),
        )
        for number, (start, own) in enumerate(zip(starts, portions, strict=True), start=1)
    ]


@contextmanager
def run_shards(
    kind: Stage[..., Manifest], run: Run, shards: list[Shard], **arguments: Any
) -> Iterator[list[Path]]:
    """Run all shards and yield the folders of their results, which the block joins.

    After the block, these folders and those of earlier runs of the stage are removed.

    Args:
        kind: the stage that makes a shard from `run`, `shard` and the arguments.
        run: the run.
        shards: all shards of the stage.
        arguments: the further arguments of `kind`.

    Raises:
        StageError: a shard's result is not in this home.
        ChildDiedError: Dask could not run a shard.
    """
    folders = []
    with (
        run_context().nested() as part,
        transaction(commit_mode=CommitMode.EAGER),  # else Prefect rolls finished shards back
        open_runner(run.runner, run.threads) as runner,
    ):
        try:
            futures = [
                runner.submit(kind.task, {"run": run, "shard": shard, **arguments})
                for shard in shards
            ]
            for shard, future in zip(shards, futures, strict=True):
                with _explain_dask_errors(shard):
                    made = result_of(future)
                folders.append(_folder(run, shard, made))
                done = shard.before + len(shard.names)
                report_progress(Progress(shard.stage, done=done, total=shard.total, task_runs=1))
        except BaseException:
            part.request_shutdown()
            raise
    yield folders
    for folder in shards_of(run, shards[0].stage):
        shutil.rmtree(folder, ignore_errors=True)


def require_space_for(run: Run, shards: list[Shard], size: int) -> None:
    """Require disk space for a stage's result, plus one shard, of which joining makes a copy.

    Args:
        run: the run.
        shards: all shards of the stage; finished ones need no more space.
        size: the size of the result in bytes.

    Raises:
        NoSpaceError: the disk of the home has too little.
    """
    if len(shards) > 1:
        size += size // len(shards)
    stage = shards[0].stage
    finished = [file for folder in shards_of(run, stage) for file in folder.iterdir()]
    require_space(run.home, size - sum(file.stat().st_size for file in finished), what=stage)


def require_same_versions(shard: Shard, kind: Stage[..., Manifest]) -> None:
    """Refuse to make a shard for a run with other code or library versions.

    Raises:
        SettingsError: they differ.
    """
    if shard.code_fingerprint != kind.code_fingerprint():
        raise SettingsError(
            f"{shard}: the Dask worker on {socket.gethostname()} has other code or libraries than "
            "the run; install the run's versions there"
        )


def store_shard(run: Run, shard: Shard, out: Path, *, rows: int) -> Manifest:
    """Move a shard's finished temporary folder to its final place, and return its manifest."""
    folder = run.root / SHARDS / f"{shard.prefix}{shard.number}-{uuid4().hex[:8]}"
    out.rename(folder)
    names = sorted(entry.name for entry in folder.iterdir())
    return make_manifest(run.root, SHARDS, folder, rows=rows, names=names)


def shards_of(run: Run, stage: str) -> list[Path]:
    """Return the folders of the finished shards of a stage's task run, such as `crops train`."""
    return sorted((run.root / SHARDS).glob(f"{_prefix(stage)}*"))


def shard_processes(run: Run) -> int:
    """Return the number of child processes for a shard: one per thread if it has all threads."""
    return run.threads if _is_here(run) else 1


def shard_progress(shard: Shard) -> Callable[[int, int], None]:
    """Return a callback (done, total) that reports the progress of the whole stage.

    It raises InterruptedRunError if the run is ending, which ends the shard.
    """

    def report(done: int, total: int) -> None:
        if run_context().shutdown_requested():
            raise InterruptedRunError(f"{shard}: the run is ending")
        own = len(shard.names) * done // max(total, 1)
        report_progress(Progress(shard.stage, done=shard.before + own, total=shard.total))

    return report


def _is_here(run: Run) -> bool:
    return run.runner == THREADS


def _prefix(stage: str) -> str:
    return re.sub(r"\W+", "-", stage) + "-"


@contextmanager
def _explain_dask_errors(shard: Shard) -> Iterator[None]:
    """Explain the failure of a shard whose workers died or whose scheduler is gone."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith("distributed"):
            raise
        raise ChildDiedError(
            f"{shard}: Dask could not run it ({type(error).__name__}: {error}); check the logs of "
            "its workers, for example for a lack of memory, and Retry"
        ) from error


def _folder(run: Run, shard: Shard, made: Manifest) -> Path:
    if not made.is_intact(run.root):
        raise StageError(
            f"{shard}: the result is not in {made.folder(run.root)}; Dask's workers must use this "
            "home, on storage that all of them see at the same path"
        )
    return made.folder(run.root)
