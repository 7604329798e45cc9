"""Stacks of slices on square grids, and batches of them for a keypoint net."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

# Maximum augmentation in either direction.
SHIFT_ACROSS = 0.1  # fraction of the grid
SCALE = 0.15
TURN = math.radians(10)
GAMMA = 0.35  # of the logarithm of gamma
GAIN = 0.2
# A slice at most SHOWS_MM from a point shows it; a stack whose slices are all farther than
# ABSENT_MM does not. Points in between are trained neither as shown nor as absent.
SHOWS_MM, ABSENT_MM = 3.0, 9.0


@dataclass(frozen=True)
class Stacks:
    """Stacks of slices on square grids, concatenated.

    Attributes:
        images: (slices, size, size) uint8, in memory or memory-mapped.
        planes_mm: (slices, 3, 3) float64: the position of grid pixel (0, 0), the step along a row
            to the next column, and the step along a column to the next row.
        starts: (stacks + 1,) first slice of each stack, and end of the last stack.
        keys: (stacks,) int64 key of each stack in the seeds of its augmentation.
    """

    images: NDArray[np.uint8]
    planes_mm: NDArray[np.float64]
    starts: NDArray[np.int64]
    keys: NDArray[np.int64]

    def slices(self, stack: int) -> NDArray[np.int64]:
        """Return the indices of a stack's slices."""
        return np.arange(self.starts[stack], self.starts[stack + 1])

    def distances(self, stack: int, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the distances (n, slices of the stack) in mm from points (n, 3) to its planes."""
        planes = self.planes_mm[self.slices(stack)]
        normals = np.cross(planes[:, 1], planes[:, 2])
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        heights = (planes[:, 0] * normals).sum(axis=1)
        distances: NDArray[np.float64] = np.abs(points_mm @ normals.T - heights)
        return distances


@dataclass(frozen=True)
class Batch:
    """Some slices of some stacks; positions are relative to the centre of each stack.

    Attributes:
        images: (b, s, 3, size, size) float32 in [0, 1]: a slice between its neighbours.
        planes_mm: (b, s, 3, 3) planes as in `Stacks`.
        mask: (b, s) False for slices that only pad a stack.
        centres_mm: (b, 3) float64 centre of each stack in patient space.
    """

    images: Tensor
    planes_mm: Tensor
    mask: Tensor
    centres_mm: NDArray[np.float64]


def gather(stacks: Stacks, chosen: Sequence[int], slices: Sequence[NDArray[np.int64]]) -> Batch:
    """Return a batch of given slices of the chosen stacks, padded to the same number."""
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
    """Pick slices of a stack, in order: one at random, the others near targets.

    Targets that no picked slice shows come first. Slices near targets teach the position in the
    slice, the others which slices do not contain the point.

    Args:
        stacks: all stacks.
        stack: index of the stack.
        target_mm: (points, 3), NaN for unknown points.
        count: number of slices to pick; a shorter stack gives all.
        rng: random generator.
    """
    own = stacks.slices(stack)
    if len(own) <= count:
        return own
    known = target_mm[np.isfinite(target_mm).all(axis=1)]
    distances = stacks.distances(stack, known)
    picked = {int(rng.integers(len(own)))}
    for target in rng.permutation(len(known)).tolist():
        if len(picked) == count:
            break
        if distances[target, sorted(picked)].min() > SHOWS_MM:
            picked.add(int(distances[target].argmin()))
    rest = [index for index in rng.permutation(len(own)).tolist() if index not in picked]
    # The rest are neighbours of picked slices, which are the hardest to distinguish from them.
    rest.sort(key=lambda index: min(abs(index - other) for other in picked))
    picked.update(rest[: count - len(picked)])
    return own[sorted(picked)]


def augment(batch: Batch, rngs: Sequence[np.random.Generator], *, shift_along: float) -> Batch:
    """Shift, scale, rotate and re-expose each stack as a whole; the planes move with the pixels.

    Half of the stacks have their neighbouring slices swapped, as if seen from the other end.

    Args:
        batch: batch to augment.
        rngs: one random generator per stack.
        shift_along: maximum shift up or down, as a fraction of the grid.
    """
    size = batch.images.shape[-1]
    theta, planes, exposure, images = [], [], [], []
    for rng, own, slices in zip(rngs, batch.planes_mm, batch.images, strict=True):
        shift_x, shift_y, scale, turn, gamma, gain = rng.uniform(-1, 1, size=6)
        scale, turn = math.exp(scale * SCALE), turn * TURN
        turned = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        linear = scale * turned
        half = (size - 1) / 2
        moved = (shift_x * SHIFT_ACROSS * size, shift_y * shift_along * size)
        shift = torch.tensor(moved, dtype=torch.float32)
        theta.append(torch.cat([linear, (shift / half)[:, None]], dim=1))
        # Source pixel = linear @ pixel + start: rows of `own[:, 1:]` are the steps in mm.
        start = half - linear @ torch.full((2,), half) + shift
        origin = own[:, 0] + (start[:, None] * own[:, 1:]).sum(1)
        planes.append(torch.cat([origin[:, None], linear.T @ own[:, 1:]], dim=1))
        exposure.append((math.exp(gamma * GAMMA), 1 + gain * GAIN))
        images.append(slices.flip(1) if rng.random() < 0.5 else slices)
    b = len(batch.images)
    grid = functional.affine_grid(torch.stack(theta), [b, 1, size, size], align_corners=True)
    seen = functional.grid_sample(torch.stack(images).flatten(1, 2), grid, align_corners=True)
    gammas, gains = (
        torch.tensor(each, dtype=torch.float32)[:, None, None, None]
        for each in zip(*exposure, strict=True)
    )
    exposed = (gains * seen.clamp_min(1e-4) ** gammas).clamp(0, 1)
    return Batch(
        exposed.reshape(batch.images.shape), torch.stack(planes), batch.mask, batch.centres_mm
    )


def visible_targets(batch: Batch, targets_mm: Tensor) -> tuple[Tensor, Tensor]:
    """Determine which targets the slices of a batch show, and which they certainly do not.

    Args:
        batch: batch of slices.
        targets_mm: (b, points, 3) relative to the stacks' centres, NaN if unknown.

    Returns: shown and absent, (b, points) each; both False if uncertain.
    """
    size = batch.images.shape[-1]
    offsets = targets_mm[:, :, None] - batch.planes_mm[:, None, :, 0]  # (b, points, s, 3)
    across, along = batch.planes_mm[:, None, :, 1], batch.planes_mm[:, None, :, 2]
    normal = torch.linalg.cross(across, along)
    distance = ((offsets * normal).sum(-1) / normal.norm(dim=-1)).abs()
    distance = distance.masked_fill(~batch.mask[:, None], math.inf)
    nearest = distance.argmin(-1, keepdim=True)
    distance = distance.gather(-1, nearest).squeeze(-1)
    at = [
        ((offsets * step).sum(-1) / step.square().sum(-1)).gather(-1, nearest).squeeze(-1)
        for step in (across, along)
    ]
    inside = torch.stack([(each >= 0) & (each <= size - 1) for each in at]).all(0)
    known = targets_mm.isfinite().all(-1)
    return (
        known & inside & (distance <= SHOWS_MM),
        known & (~inside | (distance > ABSENT_MM)),
    )
