"""Predictions of a model in evaluation mode."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lsdc.training.samples import Samples, batches_in_order

Probabilities = Callable[[Tensor], Tensor]
"""From logits (n, ...) to the probabilities (n, heads, classes) of the labels."""


@torch.inference_mode()
def predict_logits(
    model: nn.Module,
    samples: Samples,
    *,
    batch_size: int,
    device: torch.device,
    precision: torch.dtype = torch.float32,
    on_batch: Callable[[int], None] | None = None,
) -> Tensor:
    """Return logits (n, heads, classes) float32 on `device`, in the order of `samples`.

    `on_batch` is called with the number of samples done.
    """
    model.eval()
    found: list[Tensor] = []
    for batch in batches_in_order(samples, batch_size):
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            found.append(model(batch.slices.to(device), batch.present.to(device)).float())
        if on_batch is not None:
            on_batch(batch.places[-1] + 1)
    return torch.cat(found)


def as_array(tensor: Tensor) -> NDArray[np.float64]:
    """Return the tensor as a NumPy array."""
    array: NDArray[np.float64] = tensor.double().cpu().numpy()
    return array
