"""Limits of a prediction from a bundle."""

import select
import subprocess
import sys
import time

import pytest

from lsdc.pack import limits
from lsdc.pack.limits import MemoryLimit, Pace, TimeIsUpError, time_limit

_GREEDY = "x = bytearray(400_000_000); print(len(x), flush=True); input()"
_MODEST = "print(1, flush=True); input()"


def start(script: str) -> "subprocess.Popen[bytes]":
    """Start a child and wait until it has its memory."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    child = subprocess.Popen([sys.executable, "-S", "-c", script], **pipes)
    assert child.stdout is not None
    child.stdout.readline()
    return child


def test_time_limit_interrupts_a_wait_and_ends_with_its_block() -> None:
    begun = time.monotonic()
    with pytest.raises(TimeIsUpError), time_limit(0.05):
        select.select([], [], [], 30)
    assert time.monotonic() - begun < 20
    with time_limit(0.05):
        pass
    select.select([], [], [], 0.1)  # no interrupt follows


def test_memory_limit_ends_the_largest_child_only() -> None:
    modest, greedy = start(_MODEST), start(_GREEDY)
    try:
        own = limits._bytes_of(limits.psutil.Process())
        memory = MemoryLimit((own + 200e6) / limits._SHARE / 1e9)
        with memory.kept():
            assert greedy.wait(60) == -9
        assert modest.poll() is None
        assert memory.ended == 1
        assert "a process was ended 1 time, near the memory limit" in str(memory)
    finally:
        for child in (modest, greedy):
            child.kill()
            child.communicate()


def test_pace_fits_studies_into_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(limits.time, "monotonic", lambda: now[0])
    pace = Pace(studies=500, seconds=3600, at_once=64)
    assert pace.next_size() == 4  # to learn how long a study takes
    pace.did(4)
    now[0] += 40
    assert pace.next_size() == 64
    assert str(pace) == "4 of 500 studies in 40 s; about 83 min left, the limit is in 59 min"
    now[0] += 3600 - 40 - 30
    assert pace.next_size() == 0  # at this pace a study takes more than the 30 s that are left
    now[0] += 60
    assert pace.next_size() == 0
    pace.did(496)
    assert str(pace) == "500 of 500 studies in 60 min"
