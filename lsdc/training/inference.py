"""Predictions of a model in evaluation mode."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lsdc.training.models.context import StudyContext
from lsdc.training.models.outputs import Outputs
from lsdc.training.samples import SampleSet, batches_in_order
from lsdc.training.views import View, unchanged

Probabilities = Callable[[Tensor], Tensor]
"""From logits (n, heads, ...) to the probabilities of the labels."""


def predict_logits(
    model: nn.Module,
    samples: SampleSet,
    *,
    batch_size: int,
    device: torch.device,
    precision: torch.dtype = torch.float32,
    on_batch: Callable[[int], None] | None = None,
) -> Tensor:
    """Return the logits of the grades alone; see `predict_outputs`."""
    return predict_outputs(
        model,
        samples,
        batch_size=batch_size,
        device=device,
        precision=precision,
        on_batch=on_batch,
    ).grades


def predict_outputs(
    model: nn.Module,
    samples: SampleSet,
    *,
    batch_size: int,
    device: torch.device,
    precision: torch.dtype = torch.float32,
    on_batch: Callable[[int], None] | None = None,
) -> Outputs:
    """Return the outputs for n samples, float32 on `device`, in the order of `samples`.

    A model with context over a study gets whole studies, whose samples must be neighbours.
    `on_batch` is called with the number of samples done.
    """
    (outputs,) = predict_views(
        model,
        samples,
        [unchanged],
        batch_size=batch_size,
        device=device,
        precision=precision,
        on_batch=on_batch,
    )
    return outputs


def predict_views(
    model: nn.Module,
    samples: SampleSet,
    views: Sequence[View],
    *,
    batch_size: int,
    device: torch.device,
    precision: torch.dtype = torch.float32,
    on_batch: Callable[[int], None] | None = None,
) -> list[Outputs]:
    """Return the outputs for each view of the samples; see `predict_outputs`."""
    batches = predict_batches(
        model, samples, views, batch_size=batch_size, device=device, precision=precision
    )
    found: list[list[Outputs]] = [[] for _ in views]
    for done, answers in batches:
        for outputs, answer in zip(found, answers, strict=True):
            outputs.append(answer)
        if on_batch is not None:
            on_batch(done)
    return [Outputs.join(outputs) for outputs in found]


@torch.inference_mode()
def predict_batches(
    model: nn.Module,
    samples: SampleSet,
    views: Sequence[View],
    *,
    batch_size: int,
    device: torch.device,
    precision: torch.dtype = torch.float32,
) -> Iterator[tuple[int, list[Outputs]]]:
    """Yield for each batch the number of samples done, and the outputs for each view of the batch.

    A batch is read once, and its views are predicted one after the other. So the memory does not
    depend on their number.
    """
    model.eval()
    whole_studies = _relates_studies(model)
    for batch in batches_in_order(samples, batch_size, whole_studies=whole_studies):
        on_device, members = batch.to(device), samples.members_of(batch.places)
        answers = []
        for view in views:
            shown = view(on_device)
            with torch.autocast(device.type, precision, enabled=precision != torch.float32):
                answer = model(shown.slices, shown.present, members)
            answers.append(answer.map(Tensor.float))
        yield batch.places[-1] + 1, answers


def _relates_studies(model: nn.Module) -> bool:
    return any(isinstance(module, StudyContext) for module in model.modules())


def as_array(tensor: Tensor) -> NDArray[np.float64]:
    """Return the tensor as a NumPy array."""
    array: NDArray[np.float64] = tensor.double().cpu().numpy()
    return array
