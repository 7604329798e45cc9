"""Predictions of a trained model: the mean over the views of test-time augmentation.

The mean is that of probabilities, as it is over the folds and over the two samples of a level with
`by_side`, so the order of these means does not matter. The logarithmic loss of the mean is at most
the mean of the views' losses.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.slices.slots import list_parts
from lsdc.challenges.lumbar.training.mirror import mirror_batch, mirror_grades
from lsdc.challenges.lumbar.training.network import read_grades
from lsdc.training.inference import as_array, predict_views
from lsdc.training.models.model import SliceModel
from lsdc.training.samples import Batch, Samples
from lsdc.training.views import View, list_views, unchanged


def predict_grades(
    model: SliceModel,
    samples: Samples,
    experiment: Experiment,
    *,
    device: torch.device,
    on_batch: Callable[[int], None] | None = None,
) -> NDArray[np.float64]:
    """Return the probabilities (n, conditions, grades) of samples, in the precision of validation.

    They are the mean over the unchanged sample and the views of `experiment.tta`.

    Args:
        model: the trained model, on `device`.
        samples: the samples; their labels do not matter.
        experiment: the experiment of the model.
        device: the device.
        on_batch: called with the number of samples done.
    """
    tta, slices = experiment.tta, experiment.slices
    views: list[View] = [unchanged, *list_views(tta, list_parts(slices))]
    if tta.mirror:

        def mirrored(batch: Batch) -> Batch:
            return mirror_batch(batch, slices)

        views.append(mirrored)
    outputs = predict_views(
        model,
        samples,
        views,
        batch_size=experiment.training.batch_size,
        device=device,
        precision=getattr(torch, experiment.training.precision),
        on_batch=on_batch,
    )
    found = [as_array(read_grades(experiment, each.grades.double())) for each in outputs]
    if tta.mirror:
        found[-1] = mirror_grades(found[-1])
    mean: NDArray[np.float64] = sum(found[1:], start=found[0]) / len(found)
    return mean
