"""The host: its GPUs and threads, and whether the requested device exists.

A child process asks torch, as torch loads slowly.
"""

import itertools
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

from lsdc.errors import SettingsError

THREADS_OF_A_RUN = "LSDC_THREADS"

_DEVICES = Path("/dev")
_ASK = (
    "from lsdc.errors import SettingsError\n"
    "from lsdc.training.device import pick_device\n"
    "try:\n    pick_device({0!r})\n"
    "except SettingsError as error:\n    print(error)\n"
)
_ASK_MEMORY = (
    "import torch\n"
    "gpus = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)\n"
    "print(min((torch.cuda.get_device_properties(gpu).total_memory for gpu in gpus), default=''))\n"
)


def require_device(device: str) -> None:
    """Refuse a device that cannot be used here.

    Raises:
        SettingsError: the device cannot be used.
    """
    if device in ("auto", "cpu"):
        return
    if refusal := _refusal(device):
        raise SettingsError(refusal)


@cache
def _refusal(device: str) -> str:
    """Return why the device cannot be used; empty if it can be, or if torch itself failed."""
    return _answer(_ASK.format(device))


@cache
def gpu_memory_gb() -> float | None:
    """Return the memory of the smallest GPU here that torch can use, in GB; None without a GPU."""
    answer = _answer(_ASK_MEMORY)
    return int(answer) / 1e9 if answer else None


def _answer(script: str) -> str:
    """Return what a script prints, of this Python with torch; empty if it fails."""
    command = [sys.executable, "-P", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    return done.stdout.strip()


def count_gpus(device: str) -> int:
    """Return the number of GPUs for training, without importing torch; at least 1 for "cuda"."""
    if device == "cpu":
        return 0
    present = min(len(_present_gpus()), len(visible_gpus()))
    return max(1, present) if device == "cuda" else present


def visible_gpus() -> list[str]:
    """Return CUDA's numbers of this machine's GPUs, limited by CUDA_VISIBLE_DEVICES."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return _present_gpus()
    names = [name.strip() for name in chosen.split(",")]
    # CUDA stops at the first invalid name.
    return list(itertools.takewhile(lambda name: name and not name.startswith("-"), names))


def _present_gpus() -> list[str]:
    # CUDA counts the GPUs that it finds: the only GPU of a container may be /dev/nvidia3, but is 0.
    return [str(gpu) for gpu, _ in enumerate(_DEVICES.glob("nvidia[0-9]*"))]


def usable_threads() -> int:
    """Return the default number of threads: LSDC_THREADS, else one per usable core.

    Raises:
        SettingsError: LSDC_THREADS is not a number.
    """
    if (threads := whole_number_in(THREADS_OF_A_RUN, 1)) is not None:
        return threads
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def whole_number_in(variable: str, least: int) -> int | None:
    """Return the whole number in an environment variable; None if it is not set."""
    value = os.environ.get(variable)
    if value is None:
        return None
    if not value.isdecimal() or int(value) < least:
        raise SettingsError(f"{variable}: expected an integer of at least {least}, found {value!r}")
    return int(value)
