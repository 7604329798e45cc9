"""Predictions of a trained slice model: a weighted mean over the views of test-time augmentation.

The mean is that of probabilities, as it is over the folds, so the order of these means does not
matter. The logarithmic loss of the mean is at most the mean of the views' losses.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.config.experiment import Experiment
from lsdc.challenges.hemorrhage.config.tta import TtaConfig
from lsdc.challenges.hemorrhage.training.network import read_probabilities
from lsdc.training.inference import as_array, predict_views
from lsdc.training.models.model import SliceModel
from lsdc.training.samples import Samples
from lsdc.training.views import (
    View,
    flip_columns,
    in_turn,
    list_plane_views,
    magnify_at,
    unchanged,
)

_CORNERS = [(right, down) for down in (-1.0, 1.0) for right in (-1.0, 1.0)]


def list_views(tta: TtaConfig) -> list[View]:
    """Return the views beside the unchanged slice."""
    views = list(list_plane_views(tta))
    if tta.horizontal_flip:
        views.append(flip_columns)
    if tta.corners is not None:
        corners = [magnify_at(tta.corners, right=right, down=down) for right, down in _CORNERS]
        views += [*corners, *(in_turn(flip_columns, corner) for corner in corners)]
    return views


def view_weights(tta: TtaConfig) -> list[float]:
    """Return the weight of the unchanged slice and of each view, with a sum of 1.

    >>> view_weights(TtaConfig(corners=1.35, plain_share=0.4))[:2]
    [0.4, 0.075]
    """
    views = len(list_views(tta))
    plain = 1 / (1 + views) if tta.plain_share is None else tta.plain_share
    return [plain, *((1 - plain) / views for _ in range(views))]


def predict_labels(
    model: SliceModel,
    samples: Samples,
    experiment: Experiment,
    *,
    device: torch.device,
    on_batch: Callable[[int], None] | None = None,
) -> NDArray[np.float64]:
    """Return the probabilities (n, 6) of samples, in the precision of validation.

    Args:
        model: the trained model, on `device`.
        samples: one sample or more; their labels do not matter.
        experiment: the experiment of the model.
        device: the device.
        on_batch: called with the number of samples done.
    """
    outputs = predict_views(
        model,
        samples,
        [unchanged, *list_views(experiment.tta)],
        batch_size=experiment.training.batch_size,
        device=device,
        precision=getattr(torch, experiment.training.precision),
        on_batch=on_batch,
    )
    mean = np.zeros((len(samples), outputs[0].grades.shape[-1]))
    for weight, each in zip(view_weights(experiment.tta), outputs, strict=True):
        mean += weight * as_array(read_probabilities(each.grades.double())[:, 0])
    return mean
