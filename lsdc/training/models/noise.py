"""A trial of a model on noise, in training and in evaluation."""

from collections.abc import Sequence

import torch
from torch import nn

from lsdc.errors import SettingsError
from lsdc.training.settings.training import TrainingSettings

_REFUSALS = (ValueError, RuntimeError, TypeError, LookupError, AssertionError)


@torch.no_grad()
def show_noise(
    model: nn.Module,
    *,
    slices: int,
    shape: tuple[int, int],
    backbones: Sequence[str],
    slices_as: str,
    training: TrainingSettings,
    device: torch.device,
    remedy: str,
) -> None:
    """Run a model on two samples of noise.

    Args:
        model: the model, on `device`.
        slices: number of slices of a sample.
        shape: rows and columns of a slice.
        backbones: the names of its backbones, for the message.
        slices_as: how slices enter them.
        training: its precision.
        device: the device.
        remedy: what to try instead of these images, such as another setting of their size.

    Raises:
        SettingsError: the model rejects such samples.
    """
    rows, columns = shape
    precision = getattr(torch, training.precision)
    noise = torch.randint(0, 256, (2, slices, rows, columns), dtype=torch.uint8, device=device)
    present = torch.ones(2, slices, dtype=torch.bool, device=device)
    try:
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            model.train()(noise, present)
            model.eval()(noise[:1], present[:1])  # the last batch of a prediction may be one
    except torch.OutOfMemoryError:
        raise
    except _REFUSALS as error:
        if "allocate memory" in str(error):
            raise
        raise SettingsError(
            f"model.backbone: {' and '.join(backbones)} cannot be trained on slices of {columns} x "
            f"{rows} px, {slices_as}, in {training.precision} "
            f"({str(error).strip().partition(chr(10))[0]}); try {remedy}, another model.backbone, "
            "or training.precision float32"
        ) from error
