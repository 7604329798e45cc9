"""Device: whether the requested one exists, and the memory of the GPUs, before any work is done.

A child process asks torch, as torch loads slowly.
"""

import subprocess
import sys
from functools import cache

from lsdc.errors import SettingsError

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
