"""Small networks that find points in patient space from stacks of slices, by three methods.

"soft-argmax": the net maps a slice with its two neighbours to one heatmap per keypoint. A joint
softmax over the slices, rows and columns of a stack, and one extra cell for "not in this stack",
turns them into one distribution over the stack's cells, whose positions in mm are known. The point
is the centre of mass near the peak, in three dimensions and finer than the cells.

"heatmap": the same net segments a ball about each keypoint; the point is its weighted centre.

"regression": a net without heatmaps predicts for each slice the position of each point and how
likely the slice shows it.

Satellites are points that each lie in a box beside a keypoint. They share one heatmap, of which
each uses the part within its box: geometry decides which satellite it is, not the net.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional

from lsdc.training.checkpoint import save_weights
from lsdc.training.settings.keypoints import Method

# Spread of a target heatmap: more than the slice spacing, less than that of neighbouring points.
TARGET_SIGMA_MM = 6.0
# Cells farther from the peak reduce the confidence, and are not part of the centre of mass.
PEAK_RADIUS_MM = 14.0
# Grid pixels per heatmap cell along each axis.
STRIDE = 2
_HIDDEN = -1e4


@dataclass(frozen=True)
class Satellites:
    """The boxes beside keypoints in which satellites are searched.

    Attributes:
        anchors: (satellites,) index of each satellite's keypoint.
        boxes_mm: (satellites, 2, 3) lowest and highest offset from it, in patient space.
    """

    anchors: NDArray[np.int64]
    boxes_mm: NDArray[np.float64]


class Encoder(nn.Module):
    """A convolutional encoder down to 1/16 of the grid, where features see the whole image."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # An even kernel puts cell i midway between grid pixels 2i and 2i + 1.
        self.stem = _block(3, width, kernel=4, stride=STRIDE)
        self.down = nn.ModuleList(
            nn.Sequential(_block(below, above, stride=2), _block(above, above))
            for below, above in ((width, 2 * width), (2 * width, 4 * width), (4 * width, 4 * width))
        )

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Map (n, 3, size, size) in [0, 1] to the deepest features and those of the skips."""
        features = self.stem(images - 0.5)
        passed = []
        for down in self.down:
            passed.append(features)
            features = down(features)
        return features, passed


class HeatmapNet(nn.Module):
    """An hourglass: down to 1/16 of the grid and up again."""

    def __init__(self, method: Method, keypoints: int, width: int) -> None:
        super().__init__()
        self.method, self.keypoints = method, keypoints
        self.encoder = Encoder(width)
        self.up = nn.ModuleList(
            _block(above, below, kernel=1)
            for above, below in ((4 * width, 4 * width), (4 * width, 2 * width), (2 * width, width))
        )
        self.merge = nn.ModuleList(_block(n, n) for n in (4 * width, 2 * width, width))
        self.head = nn.Conv2d(width, keypoints + 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Map (n, 3, size, size) in [0, 1] to logits (n, keypoints + 1, size / 2, size / 2).

        The last heatmap is shared by all satellites.
        """
        features, passed = self.encoder(images)
        for up, merge, skip in zip(self.up, self.merge, reversed(passed), strict=True):
            features = functional.interpolate(up(features), size=skip.shape[-2:], mode="nearest")
            features = merge(features + skip)
        logits: Tensor = self.head(features)
        return logits


class RegressionNet(nn.Module):
    """The encoder and a linear head: for each point its position on the slice, and a logit."""

    def __init__(self, keypoints: int, satellites: int, width: int) -> None:
        super().__init__()
        self.method: Method = "regression"
        self.keypoints, self.points = keypoints, keypoints + satellites
        self.encoder = Encoder(width)
        self.head = nn.Linear(2 * 4 * width, 3 * self.points)

    def forward(self, images: Tensor) -> Tensor:
        """Map (n, 3, size, size) in [0, 1] to (n, points, 3): x, y (grid: -1 to 1), logit."""
        features, _ = self.encoder(images)
        pooled = torch.cat([features.mean((-2, -1)), features.amax((-2, -1))], dim=1)
        output: Tensor = self.head(pooled).unflatten(1, (self.points, 3))
        return output


Net = HeatmapNet | RegressionNet


def build_net(method: Method, keypoints: int, satellites: int, width: int) -> Net:
    """Build a net for a method, with random weights."""
    if method == "regression":
        return RegressionNet(keypoints, satellites, width)
    return HeatmapNet(method, keypoints, width)


def _block(inside: int, outside: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel, stride, padding=(kernel - 1) // 2, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
    )


def cells_mm(planes_mm: Tensor, size: int) -> Tensor:
    """Return cell positions (..., size / 2, size / 2, 3) in mm from planes (..., 3, 3)."""
    at = torch.arange(size // STRIDE, device=planes_mm.device) * STRIDE + (STRIDE - 1) / 2
    origin, across, along = (part[..., None, None, :] for part in planes_mm.unbind(-2))
    return origin + at[None, :, None] * across + at[:, None, None] * along


def target_heatmaps(cells: Tensor, targets_mm: Tensor, allowed: Tensor) -> Tensor:
    """Return a Gaussian distribution over each stack's cells, about each target.

    Args:
        cells: (b, s, h, w, 3) positions in mm.
        targets_mm: (b, k, 3) positions.
        allowed: (b, k or 1, s * h * w) False for cells where the point cannot be.

    Returns: (b, k, s * h * w), each summing to 1.
    """
    flat = cells.flatten(1, 3)
    # |c - t|² expanded: it needs (b, k, cells) in memory, not (b, k, cells, 3).
    squared = flat.square().sum(-1)[:, None] - 2 * targets_mm @ flat.transpose(1, 2)
    weights = -squared / (2 * TARGET_SIGMA_MM**2)
    return weights.masked_fill(~allowed, _HIDDEN).softmax(-1)


def joint_log_softmax(logits: Tensor, mask: Tensor) -> Tensor:
    """Return log-probabilities over all cells of a stack, and of being in none of them.

    Args:
        logits: (b, s, k, h, w) heatmaps.
        mask: (b, s) False for slices that only pad a stack.

    Returns: (b, k, s * h * w + 1); the last stands for "not in this stack".
    """
    hidden = logits.masked_fill(~mask[:, :, None, None, None], _HIDDEN)
    return functional.pad(hidden.transpose(1, 2).flatten(2), (0, 1)).log_softmax(-1)


def in_boxes(cells: Tensor, mask: Tensor, anchors_mm: Tensor, boxes_mm: Tensor) -> Tensor:
    """Return the cells of a stack in which each satellite may lie: (b, satellites, cells).

    Args:
        cells: (b, s, h, w, 3) positions in mm.
        mask: (b, s) False for slices that only pad a stack.
        anchors_mm: (b, satellites, 3) position of each one's keypoint; NaN if unknown.
        boxes_mm: (satellites, 2, 3) boxes as in `Satellites`.
    """
    flat = cells.flatten(1, 3)
    seen = mask.repeat_interleave(cells.shape[2] * cells.shape[3], dim=1)[:, None]
    for axis in range(3):
        offset = flat[:, None, :, axis] - anchors_mm[..., axis, None]
        low, high = boxes_mm[:, :, axis, None].unbind(1)
        seen = seen & (offset >= low) & (offset <= high)
    return seen


def box_log_softmax(logits: Tensor, boxes: Tensor) -> Tensor:
    """Turn logits (b, cells) into log-probabilities (b, satellites, cells) over each box."""
    return logits[:, None].masked_fill(~boxes, _HIDDEN).log_softmax(-1)


def soft_argmax_mm(probabilities: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
    """Return the centre of mass near the peak, and the mass there.

    Args:
        probabilities: (b, k, cells) distributions.
        cells: (b, cells, 3) positions in mm.

    Returns: points (b, k, 3) mm and confidences (b, k) in (0, 1].

    >>> cells = torch.tensor([[[0.0, 0.0, 0.0], [0.0, 0.0, 4.0], [0.0, 0.0, 90.0]]])
    >>> soft_argmax_mm(torch.tensor([[[0.5, 0.25, 0.25]]]), cells)  # 0.25 is far off
    (tensor([[[0.0000, 0.0000, 1.3333]]]), tensor([[0.7500]]))
    """
    peak = torch.take_along_dim(cells, probabilities.argmax(-1)[..., None], dim=1)
    near = torch.cdist(peak, cells) <= PEAK_RADIUS_MM
    kept = probabilities * near
    mass = kept.sum(-1)
    return (kept @ cells) / mass.clamp_min(1e-12)[..., None], mass.clamp(max=1)


def regressed_mm(
    output: Tensor, planes_mm: Tensor, mask: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    """Return the points that a regression predicts, and the slices they are on.

    Args:
        output: (b, s, points, 3) output of `RegressionNet`.
        planes_mm: (b, s, 3, 3) planes as in `Stacks`.
        mask: (b, s) False for slices that only pad a stack.
        size: edge of the grid in px.

    Returns: points (b, points, 3) mm, and log-probabilities (b, points, s + 1) of the slices; the
        last stands for "not in this stack".
    """
    logits = output[..., 2].masked_fill(~mask[..., None], _HIDDEN).transpose(1, 2)
    log_p = functional.pad(logits, (0, 1)).log_softmax(-1)
    at = (size - 1) / 2 * (1 + output[..., :2])
    origin, across, along = (part[:, :, None] for part in planes_mm.unbind(-2))
    places = origin + at[..., :1] * across + at[..., 1:] * along  # (b, s, points, 3)
    within = logits.softmax(-1)
    return torch.einsum("bps,bspc->bpc", within, places), log_p


def save_net(net: Net, path: Path, metadata: Mapping[str, Any]) -> None:
    """Write the net's weights and, as JSON under "net", the given metadata and its architecture.

    The same net and metadata give the same bytes.
    """
    # A single entry: safetensors writes several in an order that varies between runs.
    points = net.points if isinstance(net, RegressionNet) else net.keypoints
    built = {
        "method": net.method,
        "keypoints": net.keypoints,
        "satellites": points - net.keypoints,
        "width": net.encoder.stem[0].out_channels,
    }
    text = json.dumps({**metadata, **built}, sort_keys=True)
    weights = {name: value.cpu() for name, value in net.state_dict().items()}
    save_weights(path, weights, {"net": text})


def load_net(path: Path) -> Net:
    """Load a net that `save_net` wrote, on the CPU."""
    with safe_open(path, framework="pt") as file:
        built = json.loads(file.metadata()["net"])
        names = ("method", "keypoints", "satellites", "width")
        net = build_net(*(built[name] for name in names))
        net.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    return net
