"""The time and memory of computations."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lsdc.store import costs
from lsdc.store.costs import Cost, measuring, read_costs, record_cost, resident_bytes

SIZE = 60_000_000


def test_memory_of_a_child_counts_while_it_runs() -> None:
    before = resident_bytes()
    script = f"kept = bytearray({SIZE}); print(len(kept), flush=True); input()"
    with measuring() as measured:
        child = subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        assert child.stdout.readline().strip() == str(SIZE)
        measured.take()
        child.communicate("\n")
    assert measured.peak_bytes > before + SIZE
    assert resident_bytes() < measured.peak_bytes
    assert measured.seconds > 0


def test_block_is_measured_although_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "INTERVAL_SECONDS", 0.01)
    with pytest.raises(ValueError, match="inside"), measuring() as measured:
        raise ValueError("inside")
    assert measured.peak_bytes > 0


def test_cost_of_a_result_replaces_an_earlier_one(tmp_path: Path) -> None:
    def cost(path: str, hour: int) -> Cost:
        ended = datetime(2026, 1, 1, hour, tzinfo=UTC)
        return Cost(
            stage="crops", name="crops train", path=path, seconds=hour, peak_bytes=1, ended=ended
        )

    for each in (cost("crops/a", 3), cost("crops/b", 2), cost("crops/a", 1)):
        record_cost(tmp_path, each)
    assert read_costs(tmp_path) == [cost("crops/a", 1), cost("crops/b", 2)]
    (tmp_path / "costs" / "crops" / "crops-a.json").write_text("damaged")
    assert read_costs(tmp_path) == [cost("crops/b", 2)]
