"""Training of a keypoint net on stacks of slices."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from lsdc.errors import StageError
from lsdc.training.keypoints.batches import Batch, Stacks, augment, gather, pick_slices
from lsdc.training.keypoints.losses import loss_of
from lsdc.training.keypoints.nets import Net, Satellites, build_net
from lsdc.training.settings.keypoints import KeypointSettings

WARM_UP = 0.2
WEIGHT_DECAY = 1e-2

Floats = NDArray[np.float64]


def train_keypoints(
    stacks: Stacks,
    targets_mm: Floats,
    satellites: Satellites,
    settings: KeypointSettings,
    *,
    shift_along: float,
    seed: int,
    device: str,
    on_epoch: Callable[[int, int, float], None],
) -> Net:
    """Train a net on every stack that has a target.

    Order, slices and augmentation are functions of (seed, epoch, key of the stack).

    Args:
        stacks: all stacks.
        targets_mm: (stacks, keypoints + satellites, 3), NaN for unknown points.
        satellites: boxes of the last points.
        settings: build and training settings.
        shift_along: see `lsdc.training.keypoints.batches.augment`.
        seed: random seed of weights, order and augmentation.
        device: "cpu" or "cuda".
        on_epoch: called with the epoch (from 1), the number of epochs and the epoch's mean loss;
            there are `settings.epochs`, or more if these would make fewer than
            `settings.min_steps` steps.

    Raises:
        StageError: the loss is not finite.
    """
    torch.manual_seed(seed)
    satellite_count = len(satellites.anchors)
    net = build_net(
        settings.method, targets_mm.shape[1] - satellite_count, satellite_count, settings.width
    )
    net.to(device)
    net.to(memory_format=torch.channels_last)
    labelled = np.flatnonzero(np.isfinite(targets_mm).any(axis=(1, 2)))
    steps = -(-len(labelled) // settings.batch_size)
    epochs = max(settings.epochs, -(-settings.min_steps // steps))
    optimizer, schedule = _build_optimizer(net, settings.learning_rate, steps * epochs)
    net.train()
    for epoch in range(1, epochs + 1):
        order = np.random.default_rng((seed, epoch)).permutation(labelled)
        total, taught = 0.0, 0
        for chosen in np.array_split(order, steps):
            rngs = [np.random.default_rng((seed, epoch, int(key))) for key in stacks.keys[chosen]]
            batch = _pick(stacks, targets_mm, chosen, settings.slices_per_series, rngs)
            batch = augment(batch, rngs, shift_along=shift_along)
            goal = torch.from_numpy(targets_mm[chosen] - batch.centres_mm[:, None]).float()
            loss, count = loss_of(net, batch, goal, satellites, device)
            _require_finite(loss.item(), epoch, stacks.keys[chosen])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            total, taught = total + loss.item() * int(count), taught + int(count)
        on_epoch(epoch, epochs, total / max(taught, 1))
    return net


def _build_optimizer(net: Net, peak: float, steps: int) -> tuple[Optimizer, LRScheduler]:
    """Return AdamW and the schedule of its learning rate over the steps."""
    optimizer = AdamW(net.parameters(), lr=peak, weight_decay=WEIGHT_DECAY)
    return optimizer, LambdaLR(optimizer, lambda step: _rate(step / steps))


def _require_finite(loss: float, epoch: int, series: NDArray[np.int64]) -> None:
    if not math.isfinite(loss):
        raise StageError(
            f"coordinates: the loss is {loss} in epoch {epoch}, expected a finite number; lower "
            f"coordinates.learning_rate, or look at the series {', '.join(map(str, series))}"
        )


def _pick(
    stacks: Stacks,
    targets_mm: Floats,
    chosen: NDArray[np.int64],
    count: int,
    rngs: Sequence[np.random.Generator],
) -> Batch:
    """Return a batch of the chosen stacks, with `count` slices of each."""
    slices = [
        pick_slices(stacks, stack, targets_mm[stack], count, rng)
        for stack, rng in zip(chosen, rngs, strict=True)
    ]
    return gather(stacks, list(chosen), slices)


def _rate(progress: float) -> float:
    """Return the learning rate as a fraction of its peak: linear warm-up, then a cosine."""
    if progress < WARM_UP:
        return 0.05 + 0.95 * progress / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP))) + 1e-3
