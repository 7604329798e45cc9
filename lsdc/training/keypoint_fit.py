"""How a keypoint net is trained on stacks of slices, and how it reads stacks it has not seen."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsdc.training.keypoint_batches import (
    Batch,
    Stacks,
    augment,
    gather,
    pick_slices,
    what_is_shown,
)
from lsdc.training.keypoints import (
    HeatmapNet,
    Satellites,
    box_log_softmax,
    cells_mm,
    in_boxes,
    joint_log_softmax,
    target_heatmaps,
)

# Weight of the distance (per 10 mm) beside the cross-entropy of the heatmaps.
DISTANCE_WEIGHT = 1.0
WARM_UP = 0.2
WEIGHT_DECAY = 1e-2
# Anchors are never found exactly: boxes are moved about by so much while the net learns.
ANCHOR_SIGMA_MM = 2.5

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class KeypointSettings:
    """How one net is built and trained; few stacks are gone through for more epochs."""

    width: int
    epochs: int
    min_steps: int
    batch_size: int
    slices_per_series: int
    learning_rate: float
    shift_along: float


def train_keypoints(
    stacks: Stacks,
    targets_mm: Floats,
    satellites: Satellites,
    settings: KeypointSettings,
    *,
    seed: int,
    device: str,
    on_epoch: Callable[[int, int, float], None],
) -> HeatmapNet:
    """Train a net on every stack that has a target.

    Order, slices and augmentation are functions of (seed, epoch, key of the stack).

    Args:
        stacks: all stacks.
        targets_mm: (stacks, keypoints + satellites, 3), NaN where a point is not known.
        satellites: the boxes of the last points.
        settings: how to build and train.
        seed: of weights, order and augmentation.
        device: "cpu" or "cuda".
        on_epoch: told the epoch (from 1), how many there are and the mean loss; there are
            `settings.epochs`, or more where those would make fewer than `settings.min_steps`.
    """
    torch.manual_seed(seed)
    net = HeatmapNet(targets_mm.shape[1] - len(satellites.anchors), settings.width).to(device)
    net = net.to(memory_format=torch.channels_last)
    labelled = np.flatnonzero(np.isfinite(targets_mm).any(axis=(1, 2)))
    steps = -(-len(labelled) // settings.batch_size)
    epochs = max(settings.epochs, -(-settings.min_steps // steps))
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=settings.learning_rate, weight_decay=WEIGHT_DECAY
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _rate(step / (steps * epochs))
    )
    net.train()
    for epoch in range(1, epochs + 1):
        order = np.random.default_rng((seed, epoch)).permutation(labelled)
        total = 0.0
        for chosen in np.array_split(order, steps):
            batch = _training_batch(stacks, targets_mm, chosen, settings, seed, epoch)
            goal = torch.from_numpy(targets_mm[chosen] - batch.centres_mm[:, None]).float()
            loss = _loss(net, batch, goal, satellites, device)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            total += loss.item()
        on_epoch(epoch, epochs, total / steps)
    return net


def _training_batch(
    stacks: Stacks,
    targets_mm: Floats,
    chosen: NDArray[np.int64],
    settings: KeypointSettings,
    seed: int,
    epoch: int,
) -> Batch:
    rngs = [np.random.default_rng((seed, epoch, int(stacks.keys[stack]))) for stack in chosen]
    slices = [
        pick_slices(stacks, stack, targets_mm[stack], settings.slices_per_series, rng)
        for stack, rng in zip(chosen, rngs, strict=True)
    ]
    return augment(gather(stacks, list(chosen), slices), rngs, shift_along=settings.shift_along)


def _loss(
    net: HeatmapNet, batch: Batch, goal_mm: Tensor, satellites: Satellites, device: str
) -> Tensor:
    """The mean over the points of what their heatmaps cost.

    A shown point costs the cross-entropy of its heatmap plus the distance of the heatmap's centre
    of mass, an absent keypoint the cross-entropy of being in no cell.
    """
    shown, absent = (each.to(device) for each in what_is_shown(batch, goal_mm))
    goal_mm = goal_mm.to(device)
    logits, cells, mask = look(net, batch, device)
    k = net.keypoints
    log_p = joint_log_softmax(logits[:, :, :k], mask)
    everywhere = mask.repeat_interleave(cells.shape[2] * cells.shape[3], dim=1)[:, None]
    costs = _cost(log_p[..., :-1], cells, goal_mm[:, :k].nan_to_num(), everywhere) * shown[:, :k]
    total = costs.sum() - (log_p[..., -1] * absent[:, :k]).sum()
    count = shown[:, :k].sum() + absent[:, :k].sum()
    if len(satellites.anchors):
        anchors = goal_mm[:, satellites.anchors]
        anchors = anchors + ANCHOR_SIGMA_MM * torch.randn(anchors.shape).to(device)
        boxes = in_boxes(
            cells, mask, anchors, torch.from_numpy(satellites.boxes_mm).float().to(device)
        )
        place = goal_mm[:, k:].nan_to_num()
        taught = shown[:, k:] & boxes.any(-1)
        log_s = box_log_softmax(logits[:, :, k].flatten(1), boxes)
        total = total + (_cost(log_s, cells, place, boxes) * taught).sum()
        count = count + taught.sum()
    loss: Tensor = total / count.clamp_min(1)
    return loss


def _cost(log_p: Tensor, cells: Tensor, goal_mm: Tensor, allowed: Tensor) -> Tensor:
    """(b, points) of heatmaps (b, points, cells) for points that are shown."""
    wanted = target_heatmaps(cells, goal_mm, allowed)
    crossed = -(wanted * log_p).sum(-1)
    within = log_p.exp() / log_p.exp().sum(-1, keepdim=True)
    distance: Tensor = (within @ cells.flatten(1, 3) - goal_mm).norm(dim=-1)
    return crossed + DISTANCE_WEIGHT * distance / 10


def look(net: HeatmapNet, batch: Batch, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (b, s, keypoints + 1, h, w), cells (b, s, h, w, 3) and mask (b, s) of a batch."""
    mask = batch.mask.to(device)
    images = batch.images.to(device).flatten(0, 1).contiguous(memory_format=torch.channels_last)
    logits: Tensor = net(images)
    cells = cells_mm(batch.planes_mm.to(device), batch.images.shape[-1])
    return logits.reshape(*mask.shape, *logits.shape[1:]), cells, mask


def _rate(progress: float) -> float:
    """The learning rate's share of its peak: up linearly, down by a cosine."""
    if progress < WARM_UP:
        return 0.05 + 0.95 * progress / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP))) + 1e-3
