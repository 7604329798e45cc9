"""Child processes for work that needs torch: the parent stays small, and survives their crashes.

The parent writes one job, a line of JSON, to the child's stdin and keeps the pipe open until its
end, with which `lsdc.child` ends the child. The child writes lines of JSON to stdout: any number
of `{"progress": ...}`, then `{"result": ...}` or `{"error": ...}`. All other output is logged.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Container, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ConfigDict, TypeAdapter

from lsdc.errors import (
    NO_ROOM,
    ChildDiedError,
    DataError,
    NoSpaceError,
    ResumeLaterError,
    SettingsError,
    StageError,
)
from lsdc.run_context import run_context
from lsdc.training.events import Event, read_event

# Prefix of the lines that the parent writes into the children's log.
_PREFIX = "-- "
_STARTER = "lsdc.child"  # ends a child with its parent

_unbound: dict[str, str] = {}  # removed from this process's environment

OnEvent = Callable[[Event], None]


class Job(BaseModel):
    """The job of a child process; each kind of work has a subclass.

    Attributes:
        threads: number of threads of OpenMP and MKL; None means as set in the environment.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    threads: int | None = None

    def __str__(self) -> str:
        """Return the suffix that identifies the job in the children's log."""
        return ""


J = TypeVar("J", bound=Job)

# By default glibc returns memory to the system after each step, and the next step has page faults
# (measured with the demo's network on one thread: 230 ms per step, with these variables 175 ms).
# Other systems ignore these variables.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**30)}

# Clusters set these for one process with many threads. OpenMP counts places from the first core
# that a process may use, so several processes with few threads each would all use that core.
BINDING = (
    "OMP_PROC_BIND",
    "OMP_PLACES",
    "OMP_THREAD_LIMIT",
    "OMP_DYNAMIC",
    "GOMP_CPU_AFFINITY",
    "KMP_AFFINITY",
    "KMP_HW_SUBSET",
    "KMP_ALL_THREADS",
    "KMP_DEVICE_THREAD_LIMIT",
)

# Spin times. They override OMP_WAIT_POLICY.
_SPINNING = ("GOMP_SPINCOUNT", "KMP_BLOCKTIME")

_EXPECTED = {
    kind.__name__: kind
    for kind in (DataError, SettingsError, NoSpaceError, ResumeLaterError, StageError)
}
_MEANINGS = {
    "SIGKILL": " (the system does this when memory runs out)",
    "SIGBUS": " (the system does this when the disk or /dev/shm is full under a mapped file, or "
    "the file became shorter)",
}
# Short, so that an exception set by another thread (timeout, cancellation) is noticed soon.
_POLL_SECONDS = 0.5
# Time for a child to save a checkpoint after SIGTERM (children without a checkpoint end at once).
# After a cancellation, all children must have ended within 15 s.
_GRACE_SECONDS = 12.0
# Time for the children that worked with one that died to notice it.
_AFTER_EACH_OTHER_SECONDS = 5.0


def ignore(event: Event) -> None:
    """Ignore an event."""


def run_child(
    module: str,
    job: Job,
    *,
    log: Path,
    stall_minutes: float,
    on_event: OnEvent = ignore,
) -> dict[str, Any]:
    """Run a module on a job in a child process and return its result; see `run_children`."""
    (result,) = run_children(module, [job], log=log, stall_minutes=stall_minutes, on_event=on_event)
    return result


def run_children(
    module: str,
    jobs: Sequence[Job],
    *,
    log: Path,
    stall_minutes: float,
    on_event: OnEvent = ignore,
    together: bool = False,
) -> list[dict[str, Any]]:
    """Run a module on all jobs in parallel child processes; return the results in job order.

    Each child leads its own process group. On return or error all groups are ended: by SIGTERM,
    then by SIGKILL once the leader has exited or takes too long. If one child fails, all are ended.
    The system chooses the cores of their threads among those of this process.

    Args:
        module: module that ends in `child_main(work, JOB)`.
        jobs: one job per child.
        log: file that the children's stderr is appended to.
        stall_minutes: time without output after which a child is killed.
        on_event: called with each event; those of one child come in order.
        together: whether the children wait for each other: if one is at work, all are.

    Raises:
        DataError, SettingsError, NoSpaceError, StageError: a child raised it.
        ResumeLaterError: a child saved a checkpoint after SIGTERM.
        ChildDiedError: a child ended in another way, or stalled.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    for job in jobs:
        _note(log, f"{module}{job} started")
    log_start = log.stat().st_size if log.exists() else 0
    processes: list[subprocess.Popen[bytes]] = []
    results: dict[int, dict[str, Any]] = {}
    try:
        for job in jobs:
            processes.append(_start(module, job, log))
            if run_context().shutdown_requested():
                raise ChildDiedError(f"{module}: stopped, since the run is ending")
        for number, text in _lines(processes, results, stall_minutes * 60, together=together):
            if not text:
                died = _how_it_failed(processes, number, together=together)
                raise ChildDiedError(f"{module}{died}; {_last_output(log, log_start)}")
            result = _take(text, on_event)
            if result is not None:
                results[number] = result
    except TimeoutError:
        raise ChildDiedError(
            f"{module} stalled: no output for {stall_minutes:g} min, so it was killed; "
            f"{_last_output(log, log_start)}"
        ) from None
    finally:
        run_context().children.difference_update(processes)
        _end(processes)
        seconds = time.monotonic() - begun
        for number, process in enumerate(processes):
            how = "finished" if number in results else f"exited with code {process.returncode}"
            _note(log, f"{module}{jobs[number]} {how} after {seconds:.0f} s")
    return [results[number] for number in range(len(jobs))]


def unset_thread_binding() -> list[str]:
    """Remove the variables that bind threads to cores from this process's environment.

    CPU affinity and cgroup are not changed. Call it before OpenMP is loaded, which binds the thread
    that loads it and all threads started from there.

    Returns: the variables removed by this or an earlier call, as NAME=VALUE.
    """
    _unbound.update({name: os.environ.pop(name) for name in BINDING if name in os.environ})
    return [f"{name}={value}" for name, value in _unbound.items()]


def end_children() -> None:
    """End all children that threads of this run wait for; their `run_child` raises.

    After a requested shutdown, a child that a thread still starts is ended at once.
    """
    _end_groups(tuple(run_context().children))


def child_main(work: Callable[[J, OnEvent], dict[str, Any]], kind: type[J] | UnionType) -> None:
    """Do the child's part of `run_child`: read the job from stdin, do it and report the result.

    Args:
        work: function that takes the job and a callback for events, and returns the result. The
            project's errors are reported to the parent; all other errors end the process.
        kind: class of the job, or a union of its possible classes.
    """
    # Libraries may print to stdout; it goes to the log, so that `channel` has only our lines.
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def send(kind: str, line: dict[str, Any]) -> None:
        channel.write(json.dumps({kind: line}) + "\n")
        channel.flush()

    adapter: TypeAdapter[J] = TypeAdapter(cast(Any, kind))
    job = adapter.validate_json(sys.stdin.readline())
    try:
        send(
            "result", work(job, lambda event: send("progress", json.loads(event.model_dump_json())))
        )
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        send("error", {"kind": NoSpaceError.__name__, "message": str(error)})
        sys.exit(NoSpaceError.exit_code)
    except tuple(_EXPECTED.values()) as error:
        name = next(name for name, known in _EXPECTED.items() if isinstance(error, known))
        send("error", {"kind": name, "message": str(error)})
        sys.exit(error.exit_code)


def _environment(job: Job) -> dict[str, str]:
    environment = {
        **KEEP_MEMORY,
        **{name: value for name, value in os.environ.items() if name not in (*BINDING, *_SPINNING)},
        # Spinning threads are five times slower on busy cores (measured with two threads on two
        # cores: 4.5 s per step, without spinning 0.9 s), and not faster on idle cores.
        "OMP_WAIT_POLICY": "PASSIVE",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # needed for deterministic results of cuBLAS
        "DO_NOT_TRACK": "1",
        "NO_ALBUMENTATIONS_UPDATE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    if job.threads is not None:
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(job.threads))
    return environment


def _start(module: str, job: Job, log: Path) -> "subprocess.Popen[bytes]":
    with log.open("ab") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", _STARTER, module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=_environment(job),
            start_new_session=True,
        )
    run_context().children.add(process)
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # the child has ended already; `_lines` notices it
        process.stdin.write(job.model_dump_json().encode() + b"\n")
        process.stdin.flush()
    return process


def _note(log: Path, text: str) -> None:
    """Write a line about a child to the log."""
    # If the disk is full, the child reports it.
    with (
        contextlib.suppress(OSError),
        log.open("a", encoding="utf-8", errors="backslashreplace") as file,
    ):
        file.write(f"{_PREFIX}{datetime.now():%Y-%m-%d %H:%M:%S} {text}\n")


def _lines(
    processes: "Sequence[subprocess.Popen[bytes]]",
    finished: Container[int],
    stall_seconds: float,
    *,
    together: bool,
) -> Iterator[tuple[int, bytes]]:
    """Yield (child, line) as lines arrive; yield an empty line if a child ends without a result.

    Raises TimeoutError if an unfinished child, or all of those that work together, have no output
    for `stall_seconds`.
    """
    pending = [b""] * len(processes)
    last_output = [time.monotonic()] * len(processes)
    with selectors.DefaultSelector() as selector:
        for number, process in enumerate(processes):
            assert process.stdout is not None
            selector.register(process.stdout, selectors.EVENT_READ, number)
        while selector.get_map():
            for key, _ in selector.select(timeout=min(_POLL_SECONDS, stall_seconds)):
                number = key.data
                chunk = os.read(key.fd, 65536)
                *complete, pending[number] = (pending[number] + chunk).split(b"\n")
                yield from ((number, text) for text in complete)
                heard = range(len(processes)) if together else [number]
                for each in heard:
                    last_output[each] = time.monotonic()
                if number in finished or not chunk:
                    selector.unregister(key.fileobj)
                if number not in finished and not chunk:
                    yield number, b""
            waiting = [key.data for key in selector.get_map().values()]
            if any(time.monotonic() - last_output[number] >= stall_seconds for number in waiting):
                raise TimeoutError


def _take(text: bytes, on_event: OnEvent) -> dict[str, Any] | None:
    """Return the result in a child's line, or pass the event in it to `on_event` and return None.

    Raises:
        LsdcError: the child raised it.
    """
    line: dict[str, dict[str, Any]] = json.loads(text)
    if "error" in line:
        raise _EXPECTED[line["error"]["kind"]](line["error"]["message"])
    if "progress" in line:
        on_event(read_event(line["progress"]))
    return line.get("result")


def _how_it_failed(
    processes: "Sequence[subprocess.Popen[bytes]]", found: int, *, together: bool
) -> str:
    """Return how a child died, given one that ended: of those together, the first to fail.

    The others fail soon after it, and their ends may be noticed first. An error that a child raised
    is raised.
    """
    if not together:
        return f": {_how_it_ended(processes[found])}"
    until = time.monotonic() + _AFTER_EACH_OTHER_SECONDS
    for process in processes:
        _wait(process, until)
    ended = [number for number, process in enumerate(processes) if process.poll() is not None]
    for number in ended:
        stdout = processes[number].stdout
        assert stdout is not None
        os.set_blocking(stdout.fileno(), False)  # processes that it started may still hold it
        for text in (stdout.read() or b"").splitlines():
            _take(text, ignore)
    killed = [number for number in ended if (processes[number].returncode or 0) < 0]
    first = found if found in killed or not killed else killed[0]
    return f", process {first + 1} of {len(processes)}: {_how_it_ended(processes[first])}"


def _how_it_ended(process: "subprocess.Popen[bytes]") -> str:
    code = process.wait()
    if code >= 0:
        return f"exited with code {code} and no result"
    name = signal.Signals(-code).name
    return f"killed by {name}{_MEANINGS.get(name, '')}"


def _last_output(log: Path, start: int) -> str:
    """Return the last lines of child output in the log, as one line."""
    with log.open("rb") as file:
        file.seek(max(start, file.seek(0, os.SEEK_END) - 4096))
        lines = file.read().decode(errors="replace").split("\n")
    output = [line.strip() for line in lines if line.strip() and not line.startswith(_PREFIX)]
    last = " | ".join(output[-3:])
    return f"last output: {last}; all output is in {log}" if last else f"no output in {log}"


def _end(processes: "Sequence[subprocess.Popen[bytes]]") -> None:
    _end_groups(processes)
    for process in processes:
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _end_groups(processes: "Sequence[subprocess.Popen[bytes]]") -> None:
    for process in processes:
        _signal_group(process, signal.SIGTERM)
    until = time.monotonic() + _GRACE_SECONDS
    for process in processes:
        _wait(process, until)
        _signal_group(process, signal.SIGKILL)


def _signal_group(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # has exited (macOS: the second)
        os.killpg(process.pid, number)


def _wait(process: "subprocess.Popen[bytes]", until: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, until - time.monotonic()))
