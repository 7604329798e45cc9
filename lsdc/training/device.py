"""Which device a training runs on."""

import torch

from lsdc.errors import SettingsError


def pick_device(name: str) -> torch.device:
    """The device of that name; "auto" is the GPU where there is one.

    Raises:
        SettingsError: there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(
            f"device: {name!r} cannot be used here ({str(error).splitlines()[0]}); "
            "use --device cpu, or auto"
        ) from error
    return device
