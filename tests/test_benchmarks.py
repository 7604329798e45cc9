"""Benchmarks start: they are run rarely and by hand, and may import renamed functions."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
BENCHMARKS = [file for file in sorted(FOLDER.glob("*.py")) if "__main__" in file.read_text()]


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda file: file.stem)
def test_each_benchmark_prints_its_help(benchmark: Path) -> None:
    command = [sys.executable, str(benchmark), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: {benchmark.name}")


def test_benchmarks_are_found() -> None:
    assert len(BENCHMARKS) >= 9
