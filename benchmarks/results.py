"""Record the figures of full benchmark runs in RESULTS.md, with date and machine."""

import os
import platform
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"
_HEAD = """# Results

Figures of the last `--full` run of each benchmark, one section each.
"""


def record(title: str, command: str, figures: Mapping[str, object]) -> None:
    """Write figures as the section with that title; keep the other sections."""
    today = datetime.now(UTC).date().isoformat()
    lines = [f"## {title}", "", f"`{command}`, {today}, {machine()}.", ""]
    lines += ["| figure | value |", "| --- | --- |"]
    lines += [f"| `{name}` | {value} |" for name, value in figures.items()]
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else _HEAD
    head, *sections = re.split(r"(?m)^(?=## )", text)
    kept = [other for other in sections if not other.startswith(f"## {title}\n")]
    whole = "\n".join(part.rstrip("\n") + "\n" for part in [head, *kept, "\n".join(lines)])
    RESULTS.write_text(whole, encoding="utf-8")


def machine() -> str:
    """Return the cores, processor, memory and Python version of this machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores {_processor()}, {memory:.0f} GiB, {platform.system()}, "
        f"Python {platform.python_version()}"
    )


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""
    named = re.search(r"model name\s*:\s*(.+)", text)
    return named[1] if named else platform.machine()
