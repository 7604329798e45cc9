"""How a keypoint net is trained on stacks of slices, and how it reads stacks it has not seen."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from lsdc.training.keypoints import (
    HeatmapNet,
    cells_mm,
    joint_log_softmax,
    soft_argmax_mm,
    target_heatmaps,
)

# Weight of the distance (per 10 mm) beside the cross-entropy of the heatmaps.
DISTANCE_WEIGHT = 1.0
# A net needs so many steps whatever it is shown; few stacks are gone through more often.
MIN_STEPS = 100
WARM_UP = 0.2
WEIGHT_DECAY = 1e-2
# What augmentation does at most, to either side.
SHIFT = 0.08  # of the grid
SCALE = 0.15
TURN = math.radians(8)
GAMMA = 0.35  # of the logarithm
GAIN = 0.2


@dataclass(frozen=True)
class Stacks:
    """Stacks of slices on square grids, one after the other.

    Attributes:
        images: (slices, size, size) uint8, as stored or memory-mapped.
        planes_mm: (slices, 3, 3) float64: the place of grid pixel (0, 0), the step along a row to
            the next column, and the step along a column to the next row.
        starts: (stacks + 1,) the first slice of each stack, and the end of the last.
        keys: (stacks,) int64 what names a stack in the seeds of its augmentation.
    """

    images: NDArray[np.uint8]
    planes_mm: NDArray[np.float64]
    starts: NDArray[np.int64]
    keys: NDArray[np.int64]

    def slices(self, stack: int) -> NDArray[np.int64]:
        """The indices of a stack's slices."""
        return np.arange(self.starts[stack], self.starts[stack + 1])


@dataclass(frozen=True)
class KeypointSettings:
    """How one net is built and trained."""

    width: int
    epochs: int
    batch_size: int
    slices_per_series: int
    learning_rate: float


@dataclass(frozen=True)
class Batch:
    """Some slices of some stacks; places count from each stack's own centre.

    Attributes:
        images: (b, s, 3, size, size) float32 in [0, 1]: a slice between its neighbours.
        planes_mm: (b, s, 3, 3) as in `Stacks`.
        mask: (b, s) False where a slice only pads its stack.
        centres_mm: (b, 3) float64.
    """

    images: Tensor
    planes_mm: Tensor
    mask: Tensor
    centres_mm: NDArray[np.float64]


def gather(stacks: Stacks, chosen: Sequence[int], slices: Sequence[NDArray[np.int64]]) -> Batch:
    """The given slices of the chosen stacks, padded to the same number."""
    size = stacks.images.shape[-1]
    most = max(len(own) for own in slices)
    images = np.zeros((len(chosen), most, 3, size, size), np.uint8)
    planes = np.zeros((len(chosen), most, 3, 3))
    mask = np.zeros((len(chosen), most), bool)
    centres = np.zeros((len(chosen), 3))
    for i, (stack, own) in enumerate(zip(chosen, slices, strict=True)):
        first, last = stacks.starts[stack], stacks.starts[stack + 1] - 1
        for channel, offset in enumerate((-1, 0, 1)):
            images[i, : len(own), channel] = stacks.images[np.clip(own + offset, first, last)]
        planes[i, : len(own)] = stacks.planes_mm[own]
        mask[i, : len(own)] = True
        whole = stacks.planes_mm[first : last + 1].mean(axis=0)
        centres[i] = whole[0] + (size - 1) / 2 * (whole[1] + whole[2])
        planes[i, : len(own), 0] -= centres[i]
    return Batch(
        images=torch.from_numpy(images).float() / 255,
        planes_mm=torch.from_numpy(planes).float(),
        mask=torch.from_numpy(mask),
        centres_mm=centres,
    )


def pick_slices(
    stacks: Stacks, stack: int, target_mm: NDArray[np.float64], count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """The slices nearest the targets, and some others by chance, in their order.

    The nearest teach the place in the slice, the others teach which slices do not hold it.
    """
    own = stacks.slices(stack)
    if len(own) <= count:
        return own
    planes = stacks.planes_mm[own]
    normals = np.cross(planes[:, 1], planes[:, 2])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    middle = np.nanmean(target_mm, axis=0)
    order = np.argsort(np.abs(((middle - planes[:, 0]) * normals).sum(axis=1)), kind="stable")
    near = (count + 1) // 2
    others = rng.choice(order[near:], size=count - near, replace=False)
    return np.sort(own[np.concatenate([order[:near], others])])


def augment(batch: Batch, rngs: Sequence[np.random.Generator]) -> Batch:
    """Shift, scale, turn and re-expose each stack as a whole; the planes move with the pixels."""
    size = batch.images.shape[-1]
    theta, planes, exposure = [], [], []
    for rng, own in zip(rngs, batch.planes_mm, strict=True):
        shift_x, shift_y, scale, turn, gamma, gain = rng.uniform(-1, 1, size=6)
        scale, turn = math.exp(scale * SCALE), turn * TURN
        turned = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        linear = scale * turned
        half = (size - 1) / 2
        shift = torch.tensor([shift_x, shift_y], dtype=torch.float32) * SHIFT * size
        theta.append(torch.cat([linear, (shift / half)[:, None]], dim=1))
        # Source pixel = linear @ pixel + start: rows of `own[:, 1:]` are the steps in mm.
        start = half - linear @ torch.full((2,), half) + shift
        origin = own[:, 0] + (start[:, None] * own[:, 1:]).sum(1)
        planes.append(torch.cat([origin[:, None], linear.T @ own[:, 1:]], dim=1))
        exposure.append((math.exp(gamma * GAMMA), 1 + gain * GAIN))
    b = len(batch.images)
    grid = functional.affine_grid(torch.stack(theta), [b, 1, size, size], align_corners=True)
    moved = functional.grid_sample(batch.images.flatten(1, 2), grid, align_corners=True)
    gammas, gains = (
        torch.tensor(each, dtype=torch.float32)[:, None, None, None]
        for each in zip(*exposure, strict=True)
    )
    exposed = (gains * moved.clamp_min(1e-4) ** gammas).clamp(0, 1)
    images = exposed.reshape(batch.images.shape)
    return Batch(images, torch.stack(planes), batch.mask, batch.centres_mm)


def train_keypoints(
    stacks: Stacks,
    targets_mm: NDArray[np.float64],
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
        targets_mm: (stacks, k, 3), NaN where a point is not known.
        settings: how to build and train.
        seed: of weights, order and augmentation.
        device: "cpu" or "cuda".
        on_epoch: told the epoch (from 1), how many there are and the mean loss; there are
            `settings.epochs`, or more where those would make fewer than MIN_STEPS steps.
    """
    torch.manual_seed(seed)
    net = HeatmapNet(targets_mm.shape[1], settings.width).to(device)
    net = net.to(memory_format=torch.channels_last)
    labelled = np.flatnonzero(np.isfinite(targets_mm).any(axis=(1, 2)))
    steps = -(-len(labelled) // settings.batch_size)
    epochs = max(settings.epochs, -(-MIN_STEPS // steps))
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
            loss = _loss(net, batch, goal, device)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            total += loss.item()
        on_epoch(epoch, epochs, total / steps)
    return net


def _training_batch(
    stacks: Stacks,
    targets_mm: NDArray[np.float64],
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
    return augment(gather(stacks, list(chosen), slices), rngs)


def _loss(net: HeatmapNet, batch: Batch, goal_mm: Tensor, device: str) -> Tensor:
    """Cross-entropy of the heatmaps plus the distance of their centres of mass, where known."""
    cells, log_p = _look(net, batch, device)
    goal_mm = goal_mm.to(device)
    known = goal_mm.isfinite().all(-1)
    goal_mm = goal_mm.nan_to_num()
    wanted = target_heatmaps(cells, goal_mm, batch.mask.to(device))
    crossed = -(wanted * log_p).sum(-1)
    distance = (log_p.exp() @ cells.flatten(1, 3) - goal_mm).norm(dim=-1) / 10
    loss: Tensor = ((crossed + DISTANCE_WEIGHT * distance) * known).sum() / known.sum()
    return loss


def _look(net: HeatmapNet, batch: Batch, device: str) -> tuple[Tensor, Tensor]:
    """The cells (b, s, h, w, 3) of a batch and their log-probabilities (b, k, s * h * w)."""
    mask = batch.mask.to(device)
    images = batch.images.to(device).flatten(0, 1).contiguous(memory_format=torch.channels_last)
    logits: Tensor = net(images)
    cells = cells_mm(batch.planes_mm.to(device), batch.images.shape[-1])
    return cells, joint_log_softmax(logits.reshape(*mask.shape, *logits.shape[1:]), mask)


def _rate(progress: float) -> float:
    """The learning rate's share of its peak: up linearly, down by a cosine."""
    if progress < WARM_UP:
        return 0.05 + 0.95 * progress / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP))) + 1e-3


def find_keypoints(
    net: HeatmapNet, stacks: Stacks, chosen: Iterable[int], *, device: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the net sees its keypoints on the chosen stacks.

    Returns: points (stacks, k, 3) in mm and confidences (stacks, k) in (0, 1]; NaN for the stacks
        that were not chosen.
    """
    net.eval()
    points = np.full((len(stacks.keys), net.keypoints, 3), np.nan)
    confidence = np.full((len(stacks.keys), net.keypoints), np.nan)
    with torch.inference_mode():
        for stack in chosen:
            batch = gather(stacks, [stack], [stacks.slices(stack)])
            cells, log_p = _look(net, batch, device)
            found, mass = soft_argmax_mm(log_p.exp(), cells.flatten(1, 3))
            points[stack] = found[0].cpu().double().numpy() + batch.centres_mm[0]
            confidence[stack] = mass[0].cpu().double().numpy()
    return points, confidence
