"""Predictions of a model in evaluation mode."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lsdc.training.samples import Samples, batches_in_order
from lsdc.training.views import View, unchanged

Probabilities = Callable[[Tensor], Tensor]
"""From logits (n, ...) to the probabilities (n, heads, classes) of the labels."""


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
    logits: Tensor = predict_views(
        model,
        samples,
        [unchanged],
        batch_size=batch_size,
        device=device,
        precision=precision,
        on_batch=on_batch,
    )
    return logits[0]


@torch.inference_mode()
def predict_views(
    model: nn.Module,
    samples: Samples,
    views: Sequence[View],
    *,
    batch_size: int,
    device: torch.device,
    precision: torch.dtype = torch.float32,
    on_batch: Callable[[int], None] | None = None,
) -> Tensor:
    """Return the logits (views, n, heads, classes) of views of the samples; see `predict_logits`.

    A batch is read once, and its views are predicted one after the other. So the memory does not
    depend on their number.
    """
    model.eval()
    found: list[list[Tensor]] = [[] for _ in views]
    for batch in batches_in_order(samples, batch_size):
        on_device = batch.to(device)
        for view, logits in zip(views, found, strict=True):
            shown = view(on_device)
            with torch.autocast(device.type, precision, enabled=precision != torch.float32):
                logits.append(model(shown.slices, shown.present).float())
        if on_batch is not None:
            on_batch(batch.places[-1] + 1)
    return torch.stack([torch.cat(logits) for logits in found])


def as_array(tensor: Tensor) -> NDArray[np.float64]:
    """Return the tensor as a NumPy array."""
    array: NDArray[np.float64] = tensor.double().cpu().numpy()
    return array
