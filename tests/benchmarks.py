"""Benchmarks, run as commands."""

import json
import math
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "benchmarks"


def run_benchmark(name: str, *options: str | Path) -> Any:
    """Run a benchmark to its end and return what it prints as JSON."""
    command = [sys.executable, FOLDER / f"{name}.py", "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def require_figures(figures: dict[str, Any], names: Collection[str]) -> None:
    """Require that each of these figures is there, and a finite number."""
    assert set(names) <= set(figures)
    assert {name for name in names if not math.isfinite(figures[name])} == set()
