"""Device: check that the requested device exists before anything is read or prepared."""

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


def require_device(device: str) -> None:
    """Refuse a device that cannot be used here; a child process checks, as torch loads slowly.

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
    command = [sys.executable, "-P", "-c", _ASK.format(device)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    return done.stdout.strip()
