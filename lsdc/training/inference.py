"""What a model says of samples it is not trained on."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from lsdc.training.model import SliceSequenceModel
from lsdc.training.samples import Samples, batches_in_order


@torch.inference_mode()
def predict_probabilities(
    model: SliceSequenceModel,
    samples: Samples,
    *,
    batch_size: int,
    device: torch.device,
    precision: torch.dtype = torch.float32,
    on_batch: Callable[[int], None] | None = None,
) -> NDArray[np.float64]:
    """Probabilities (n, heads, classes), summing to 1, in the order of `samples`.

    `on_batch` is told how many samples are done.
    """
    model.eval()
    found: list[NDArray[np.float64]] = []
    for batch in batches_in_order(samples, batch_size):
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            logits = model(batch.slices.to(device), batch.present.to(device))
        found.append(logits.double().softmax(dim=-1).cpu().numpy())
        if on_batch is not None:
            on_batch(batch.places[-1] + 1)
    return np.concatenate(found)
