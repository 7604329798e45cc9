"""The device of a training: its selection and its description."""

import importlib.metadata
import platform
from pathlib import Path

import torch

from lsdc.errors import SettingsError

_LIBRARIES = ("torch", "timm", "albumentations", "opencv-python-headless", "numpy")


def pick_device(name: str) -> torch.device:
    """Return the device of that name, and make it the current one if it is a GPU.

    "auto" is the first GPU if there is one, else the CPU. "auto:1" is the second GPU, modulo the
    number of GPUs.

    Raises:
        SettingsError: there is no such device here.
    """
    kind, _, number = name.partition(":")
    try:
        if kind == "auto":
            gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
            device = torch.device(f"cuda:{int(number or 0) % gpus}" if gpus else "cpu")
        else:
            device = torch.device(name)
        torch.empty(1, device=device)
        if device.type == "cuda":
            torch.cuda.set_device(device)  # else pinned memory would take some of the first GPU's
    except (RuntimeError, AssertionError, ValueError) as error:
        raise SettingsError(
            f"device: {name!r} cannot be used here ({str(error).splitlines()[0]}); "
            "use --device cpu, or auto"
        ) from error
    return device


def describe(device: torch.device) -> dict[str, object]:
    """Describe the device, threads, CPU and versions, which affect the last bits of a result."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "threads": torch.get_num_threads(),
        "cpu": _cpu(),
        "versions": {name: importlib.metadata.version(name) for name in _LIBRARIES},
    }


def _cpu() -> str:
    """Return the processor's model and the instruction set that torch uses on it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = named[0] if named else platform.processor() or platform.machine()
    return f"{model} ({torch.backends.cpu.get_cpu_capability()})"
