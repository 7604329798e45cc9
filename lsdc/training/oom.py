"""Advice when a device runs out of memory."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from lsdc.errors import SettingsError
from lsdc.training.settings.memory import MemorySettings


@contextmanager
def advice_when_memory_runs_out(
    batch_size: int,
    device: torch.device | str,
    settings: MemorySettings,
    attempt: Callable[[int], None] | None = None,
) -> Iterator[None]:
    """Turn an out-of-memory error of the block into advice on the batch size.

    Args:
        batch_size: the number of samples of the block.
        device: where memory ran out.
        settings: the settings to change.
        attempt: repeats the block's work with a number of samples, to find the largest batch size
            that fits. Without it, the advice is to try half the batch size.

    Raises:
        SettingsError: memory ran out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)  # frames keep the memory alive
        reason = error.with_traceback(None)
    else:
        return
    setting = settings.batch_size
    if attempt is None:
        advice = f"try {setting} = {batch_size // 2}" if batch_size > 1 else ""
    else:
        fits = _largest_that_fits(attempt, batch_size)
        advice = f"{setting} = {fits} fits" if fits else ""
    advice = advice or (
        f"try a smaller {' or '.join(settings.smaller)}, or a device with more memory"
    )
    raise SettingsError(
        f"{setting} = {batch_size} does not fit into the memory of {device}; {advice}"
    ) from reason


def _largest_that_fits(attempt: Callable[[int], None], batch_size: int) -> int:
    """Bisect the batch size; return 0 if not even one sample fits."""
    fits, too_large = 0, batch_size
    while too_large - fits > 1:
        middle = (fits + too_large) // 2
        if _fits(attempt, middle):
            fits = middle
        else:
            too_large = middle
    return fits


def _fits(attempt: Callable[[int], None], batch_size: int) -> bool:
    torch.cuda.empty_cache()  # does nothing if CUDA was not used
    try:
        attempt(batch_size)
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        return False
    return True


def _is_out_of_memory(error: Exception) -> bool:
    """Return whether memory ran out; torch's CPU allocator has no error class for that."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        "can't allocate memory" in str(error)
    )
