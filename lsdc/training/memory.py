"""Memory that runs out on a device, said as advice."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lsdc.errors import SettingsError


@contextmanager
def advice_when_memory_runs_out(
    batch_size: int, device: torch.device | str, setting: str = "training.batch_size"
) -> Iterator[None]:
    """Turn "out of memory" within the block into the batch size to try.

    Raises:
        SettingsError: memory ran out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch's CPU allocator has no class of its own
        is_memory = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not is_memory and "can't allocate memory" not in str(error):
            raise
        advice = (
            f"try {setting} = {batch_size // 2}"
            if batch_size > 1
            else "try a smaller model.backbone or crops.size_px, or a device with more memory"
        )
        raise SettingsError(
            f"{setting} = {batch_size} does not fit into the memory of {device}; {advice}"
        ) from error
