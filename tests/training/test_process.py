import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ConfigDict

from lsdc.errors import ResumeLaterError, SettingsError, StageError
from lsdc.training.events import Event, Warned
from lsdc.training.process import Job, run_child, run_children

CHILD = """
import os, signal, subprocess, sys, time
from pathlib import Path
from lsdc.errors import SettingsError
from lsdc.training.interrupts import check_interrupts, catch_sigterm
from lsdc.training.events import Warned
from lsdc.training.process import Job, child_main

class OddJob(Job):
    do: str
    value: int = 0
    after: Path | None = None
    of: str = "SIGSEGV"
    saved: Path | None = None

def work(job, on_event):
    def say(what, pid):
        on_event(Warned(text=f"{what} {pid}"))

    print("a library that prints")
    say("pid", os.getpid())
    while job.after is not None and not job.after.exists():
        time.sleep(0.01)
    if job.do == "answer":
        return {"twice": 2 * job.value, "threads": os.environ.get("OMP_NUM_THREADS")}
    if job.do == "tell how threads wait":
        return {name: os.environ.get(name) for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    if job.do == "compute":
        import torch
        torch.set_num_threads(job.threads)
        torch.ones(300, 300) @ torch.ones(300, 300)
        torch.ones(2**20).exp().sum()
        threads = [int(thread) for thread in os.listdir("/proc/self/task")]
        cores = [sorted(os.sched_getaffinity(thread)) for thread in threads]
        return {"cores": cores, "threads": torch.get_num_threads()}
    if job.do == "refuse":
        raise SettingsError("batch_size: 64 does not fit; try 32")
    if job.do == "raise":
        raise ValueError("unforeseen")
    if job.do == "die":
        os.kill(os.getpid(), signal.Signals[job.of])
    if job.do == "save":
        with catch_sigterm() as stop_requested:
            say("ready", os.getpid())
            while True:
                time.sleep(0.01)
                check_interrupts(
                    [Path("nowhere")],
                    stop_requested,
                    save=lambda: job.saved.touch(),
                    on_event=on_event,
                )
    while job.do == "talk":
        say("talks", os.getpid())
        time.sleep(0.01)
    grandchild = subprocess.Popen(["sleep", "60"])
    say("grandchild", grandchild.pid)
    time.sleep(60)

child_main(work, OddJob)
"""


class OddJob(Job):
    """A job of the odd child."""

    model_config = ConfigDict(extra="allow")


def heard(event: Event) -> tuple[str, int]:
    """Return what the odd child reported, and the process id."""
    assert isinstance(event, Warned)
    what, pid = event.text.split()
    return what, int(pid)


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "odd_child.py").write_text(CHILD)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "odd_child"


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while not holds() and time.monotonic() < until:
        time.sleep(0.02)
    return holds()


def test_parent_gets_result_and_progress_despite_other_output(child: str, tmp_path: Path) -> None:
    lines: list[Event] = []
    log = tmp_path / "logs" / "child.log"
    job = OddJob(do="answer", value=21, threads=3)
    done = run_child(child, job, log=log, stall_minutes=1, on_event=lines.append)
    assert done == {"twice": 42, "threads": "3"}
    assert [what for what, _ in map(heard, lines)] == ["pid"]
    begun, *said, ended = log.read_text().splitlines()
    assert begun.endswith(f" {child} started")
    assert any("a library that prints" in line for line in said)
    assert f" {child} finished after " in ended


def test_expected_error_is_raised_with_its_class(child: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="64 does not fit; try 32"):
        run_child(child, OddJob(do="refuse"), log=tmp_path / "log", stall_minutes=1)


def test_unexpected_error_has_module_exit_code_and_last_output(child: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("an older child's words\n")
    with pytest.raises(
        StageError, match=r"odd_child.*exited with code 1.*ValueError: unforeseen"
    ) as error:
        run_child(child, OddJob(do="raise"), log=tmp_path / "log", stall_minutes=1)
    assert "\n" not in str(error.value)
    assert "older" not in str(error.value)


def test_death_by_signal_is_named(child: str, tmp_path: Path) -> None:
    with pytest.raises(StageError, match="odd_child: killed by SIGSEGV"):
        run_child(child, OddJob(do="die"), log=tmp_path / "log", stall_minutes=1)


def test_stalled_child_is_killed_with_its_own_children(child: str, tmp_path: Path) -> None:
    lines: list[Event] = []
    with pytest.raises(StageError, match=r"stalled: no output for 0\.02 min"):
        run_child(
            child,
            OddJob(do="sleep"),
            log=tmp_path / "log",
            stall_minutes=0.02,
            on_event=lines.append,
        )
    assert within(5, lambda: not any(alive(pid) for _, pid in map(heard, lines)))
    assert len(lines) == 2


def test_terminated_child_saves_and_can_be_resumed(child: str, tmp_path: Path) -> None:
    job = OddJob(do="save", saved=str(tmp_path / "saved"))
    pids: list[int] = []

    def terminate(event: Event) -> None:
        what, pid = heard(event)
        pids.append(pid)
        if what == "ready":
            os.kill(pids[0], signal.SIGTERM)

    with pytest.raises(ResumeLaterError) as error:
        run_child(child, job, log=tmp_path / "log", stall_minutes=1, on_event=terminate)
    assert error.value.is_transient
    assert (tmp_path / "saved").exists()


def test_exit_code_of_a_terminated_child_means_try_again(child: str, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", child],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f'{{"do": "save", "saved": "{tmp_path / "saved"}"}}\n')
    process.stdin.flush()
    assert "pid" in process.stdout.readline()
    assert "ready" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == os.EX_TEMPFAIL


def test_interrupted_child_may_save_before_it_ends(child: str, tmp_path: Path) -> None:
    job = OddJob(do="save", saved=str(tmp_path / "saved"))

    def interrupt(event: Event) -> None:
        if heard(event)[0] == "ready":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_child(child, job, log=tmp_path / "log", stall_minutes=1, on_event=interrupt)
    assert (tmp_path / "saved").exists()


def test_interrupt_kills_the_group(child: str, tmp_path: Path) -> None:
    pids: list[int] = []

    def interrupt(event: Event) -> None:
        what, pid = heard(event)
        pids.append(pid)
        if what == "grandchild":
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        run_child(
            child, OddJob(do="sleep"), log=tmp_path / "log", stall_minutes=1, on_event=interrupt
        )
    assert len(pids) == 2
    assert within(5, lambda: not any(map(alive, pids)))


def test_child_ends_when_its_parent_is_killed(child: str, tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", "from pathlib import Path; from lsdc.training.process import *\n"
         "class OddJob(Job): do: str = 'sleep'\n"
         f"run_child({child!r}, OddJob(), log=Path({str(tmp_path / 'log')!r}),"
         " stall_minutes=1, on_event=lambda event: print(event.text.split()[1], flush=True))"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert parent.stdout is not None
    pids = [int(parent.stdout.readline()) for _ in range(2)]
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert within(5, lambda: not any(map(alive, pids)))


def test_child_that_still_loads_its_libraries_ends_when_its_parent_is_killed(
    child: str, tmp_path: Path
) -> None:
    loading = "import os, sys, time\nfrom pathlib import Path\n"
    loading += f"Path({str(tmp_path / 'new')!r}).write_text(str(os.getpid()))\n"
    loading += (
        f"Path({str(tmp_path / 'new')!r}).rename({str(tmp_path / 'pid')!r})\ntime.sleep(60)\n"
    )
    (tmp_path / f"{child}.py").write_text(loading + CHILD)
    parent = subprocess.Popen(
        [sys.executable, "-c", "from pathlib import Path; from lsdc.training.process import *\n"
         f"run_child({child!r}, Job(), log=Path({str(tmp_path / 'log')!r}), stall_minutes=1)"],
    )  # fmt: skip
    assert within(60, (tmp_path / "pid").is_file)
    pid = int((tmp_path / "pid").read_text())
    assert alive(pid)
    parent.kill()
    parent.wait()
    assert within(5, lambda: not alive(pid))


def test_results_of_parallel_children_are_in_the_order_of_their_jobs(
    child: str, tmp_path: Path
) -> None:
    lines: list[Event] = []
    jobs = [OddJob(do="answer", value=value, threads=1) for value in range(3)]
    done = run_children(child, jobs, log=tmp_path / "log", stall_minutes=1, on_event=lines.append)
    assert [each["twice"] for each in done] == [0, 2, 4]
    assert len({pid for _, pid in map(heard, lines)}) == 3


@pytest.mark.parametrize(
    ("other", "error"), [("refuse", SettingsError), ("die", StageError), ("sleep", StageError)]
)
def test_other_children_end_if_one_fails_or_stalls(
    child: str, tmp_path: Path, other: str, error: type[Exception]
) -> None:
    pids: set[int] = set()

    def hear(event: Event) -> None:
        what, pid = heard(event)
        pids.add(pid)
        if what == "talks":
            (tmp_path / "talking").touch()

    with pytest.raises(error):
        run_children(
            child,
            [OddJob(do="talk"), OddJob(do=other, after=str(tmp_path / "talking"))],
            log=tmp_path / "log",
            stall_minutes=0.05,
            on_event=hear,
        )
    assert len(pids) >= 2
    assert within(5, lambda: not any(map(alive, pids)))


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux where threads may run")
@pytest.mark.parametrize(
    "variables",
    [
        {"OMP_PROC_BIND": "true", "OMP_PLACES": "cores", "OMP_THREAD_LIMIT": "1"},
        {"GOMP_CPU_AFFINITY": "0", "KMP_AFFINITY": "compact", "OMP_NUM_THREADS": "7"},
    ],
    ids=str,
)
def test_threads_of_children_use_all_cores_of_this_process(
    variables: dict[str, str], child: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    jobs = [OddJob(do="compute", threads=2)] * 2
    found = run_children(child, jobs, log=tmp_path / "log", stall_minutes=2)
    ours = sorted(os.sched_getaffinity(0))
    for result in found:
        assert result["threads"] == 2
        assert all(cores == ours for cores in result["cores"])


def test_threads_of_children_do_not_spin_despite_the_environment(
    child: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.setenv("GOMP_SPINCOUNT", "infinity")
    job = OddJob(do="tell how threads wait")
    told = run_child(child, job, log=tmp_path / "log", stall_minutes=1)
    assert told == {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": None}


def test_error_explains_sigbus_on_a_full_disk(child: str, tmp_path: Path) -> None:
    with pytest.raises(
        StageError, match=r"killed by SIGBUS \(.*/dev/shm is full under a mapped file"
    ):
        run_child(child, OddJob(do="die", of="SIGBUS"), log=tmp_path / "log", stall_minutes=1)
