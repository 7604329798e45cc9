"""What a model says of samples that it is not trained on."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lsdc.training.samples import Samples, batches_in_order

Probabilities = Callable[[Tensor], Tensor]
"""From logits (n, ...) to the probabilities (n, heads, classes) of what is asked."""


def predict_probabilities(
    model: nn.Module,
    samples: Samples,
    probabilities: Probabilities,
    *,
    batch_size: int,
    device: torch.device,
    precision: torch.dtype = torch.float32,
    on_batch: Callable[[int], None] | None = None,
) -> NDArray[np.float64]:
    """Probabilities (n, heads, classes); arguments as of `predict_logits`."""
    logits = predict_logits(
        model,
        samples,
        batch_size=batch_size,
        device=device,
        precision=precision,
        on_batch=on_batch,
    )
    return as_array(probabilities(logits.double()))


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
    """Logits (n, heads, classes) float32 on `device`, in the order of `samples`.

    `on_batch` is told how many samples are done.
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
    """The tensor for those who do not compute with torch."""
    array: NDArray[np.float64] = tensor.double().cpu().numpy()
    return array
