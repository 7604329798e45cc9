"""Selection of the device for training."""

import torch

from lsdc.errors import SettingsError


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
