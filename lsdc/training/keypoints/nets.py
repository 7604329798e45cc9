"""Small networks that find points of patient space in stacks of slices, in three ways.

"soft-argmax": the net sees a slice with its two neighbours and gives a heatmap a keypoint. A
softmax taken jointly over the slices, rows and columns of a stack, and over one cell more for "not
in this stack", turns heatmaps into one distribution over the stack's cells, each of which has a
known place in mm; its centre of mass near the peak is the point, in three dimensions and finer than
the cells.

"heatmap": the same net segments a ball about each keypoint; what it holds for the ball is weighed.

"regression": a net without heatmaps says of each slice where on it each point lies, and how much it
believes that the slice shows it.

Satellites are points that each lie in a box beside a keypoint. They share one heatmap, of which
each takes the share within its box: which one it is, geometry says, not the net.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

# A heatmap's spread about its point: more than slices lie apart, less than neighbouring points.
TARGET_SIGMA_MM = 6.0
# Cells farther from the peak count against the confidence, and not for the place.
PEAK_RADIUS_MM = 14.0
# Grid pixels to a heatmap's cell, each way.
STRIDE = 2
_HIDDEN = -1e4

Method = Literal["soft-argmax", "heatmap", "regression"]


@dataclass(frozen=True)
class Satellites:
    """The boxes about keypoints that satellites are looked for in.

    Attributes:
        anchors: (satellites,) the keypoint of each.
        boxes_mm: (satellites, 2, 3) the lowest and the highest offset from it, in patient space.
    """

    anchors: NDArray[np.int64]
    boxes_mm: NDArray[np.float64]


class Encoder(nn.Module):
    """Down to a sixteenth of the grid, which sees the whole image."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # An even kernel puts cell i midway between grid pixels 2i and 2i + 1.
        self.stem = _block(3, width, kernel=4, stride=STRIDE)
        self.down = nn.ModuleList(
            nn.Sequential(_block(below, above, stride=2), _block(above, above))
            for below, above in ((width, 2 * width), (2 * width, 4 * width), (4 * width, 4 * width))
        )

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(n, 3, size, size) in [0, 1] to the deepest features and those passed on the way."""
        features = self.stem(images - 0.5)
        passed = []
        for down in self.down:
            passed.append(features)
            features = down(features)
        return features, passed


class HeatmapNet(nn.Module):
    """An hourglass: down to a sixteenth of its grid and up again."""

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
        """(n, 3, size, size) in [0, 1] to logits (n, keypoints + 1, size / 2, size / 2).

        The last is the heatmap that all satellites share.
        """
        features, passed = self.encoder(images)
        for up, merge, skip in zip(self.up, self.merge, reversed(passed), strict=True):
            features = functional.interpolate(up(features), size=skip.shape[-2:], mode="nearest")
            features = merge(features + skip)
        logits: Tensor = self.head(features)
        return logits


class RegressionNet(nn.Module):
    """The encoder alone, and a line a point: where on a slice, and whether on this one."""

    def __init__(self, keypoints: int, satellites: int, width: int) -> None:
        super().__init__()
        self.method: Method = "regression"
        self.keypoints, self.points = keypoints, keypoints + satellites
        self.encoder = Encoder(width)
        self.head = nn.Linear(2 * 4 * width, 3 * self.points)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, size, size) in [0, 1] to (n, points, 3): x and y of the grid's half, logit."""
        features, _ = self.encoder(images)
        pooled = torch.cat([features.mean((-2, -1)), features.amax((-2, -1))], dim=1)
        said: Tensor = self.head(pooled).unflatten(1, (self.points, 3))
        return said


Net = HeatmapNet | RegressionNet


def build_net(method: Method, keypoints: int, satellites: int, width: int) -> Net:
    """A net of a method, with new weights."""
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
    """The places of a heatmap's cells: (..., 3, 3) planes to (..., size / 2, size / 2, 3)."""
    at = torch.arange(size // STRIDE, device=planes_mm.device) * STRIDE + (STRIDE - 1) / 2
    origin, across, along = (part[..., None, None, :] for part in planes_mm.unbind(-2))
    return origin + at[None, :, None] * across + at[:, None, None] * along


def target_heatmaps(cells: Tensor, targets_mm: Tensor, allowed: Tensor) -> Tensor:
    """A distribution over each stack's cells, about each target.

    Args:
        cells: (b, s, h, w, 3) mm.
        targets_mm: (b, k, 3).
        allowed: (b, k or 1, s * h * w) False for cells that the point cannot be in.

    Returns: (b, k, s * h * w), each summing to 1.
    """
    flat = cells.flatten(1, 3)
    # |c - t|² written out: (b, k, cells) is all that is held, not (b, k, cells, 3).
    squared = flat.square().sum(-1)[:, None] - 2 * targets_mm @ flat.transpose(1, 2)
    weights = -squared / (2 * TARGET_SIGMA_MM**2)
    return weights.masked_fill(~allowed, _HIDDEN).softmax(-1)


def joint_log_softmax(logits: Tensor, mask: Tensor) -> Tensor:
    """Log-probabilities over a whole stack's cells, and of being in none of them.

    Args:
        logits: (b, s, k, h, w).
        mask: (b, s) False where a slice only pads its stack.

    Returns: (b, k, s * h * w + 1); the last stands for "not in this stack".
    """
    hidden = logits.masked_fill(~mask[:, :, None, None, None], _HIDDEN)
    return functional.pad(hidden.transpose(1, 2).flatten(2), (0, 1)).log_softmax(-1)


def in_boxes(cells: Tensor, mask: Tensor, anchors_mm: Tensor, boxes_mm: Tensor) -> Tensor:
    """Which cells of its stack a satellite may lie in: (b, satellites, cells).

    Args:
        cells: (b, s, h, w, 3) mm.
        mask: (b, s) False where a slice only pads its stack.
        anchors_mm: (b, satellites, 3), the keypoint of each; NaN where it is not known.
        boxes_mm: (satellites, 2, 3).
    """
    flat = cells.flatten(1, 3)
    seen = mask.repeat_interleave(cells.shape[2] * cells.shape[3], dim=1)[:, None]
    for axis in range(3):
        offset = flat[:, None, :, axis] - anchors_mm[..., axis, None]
        low, high = boxes_mm[:, :, axis, None].unbind(1)
        seen = seen & (offset >= low) & (offset <= high)
    return seen


def box_log_softmax(logits: Tensor, boxes: Tensor) -> Tensor:
    """(b, cells) logits to log-probabilities (b, satellites, cells) over each satellite's box."""
    return logits[:, None].masked_fill(~boxes, _HIDDEN).log_softmax(-1)


def soft_argmax_mm(probabilities: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
    """The centre of mass near the peak, and the mass that lies there.

    Args:
        probabilities: (b, k, cells).
        cells: (b, cells, 3) mm.

    Returns: points (b, k, 3) mm and confidences (b, k) in (0, 1].
    """
    peak = torch.take_along_dim(cells, probabilities.argmax(-1)[..., None], dim=1)
    near = torch.cdist(peak, cells) <= PEAK_RADIUS_MM
    kept = probabilities * near
    mass = kept.sum(-1)
    return (kept @ cells) / mass.clamp_min(1e-12)[..., None], mass.clamp(max=1)


def regressed_mm(said: Tensor, planes_mm: Tensor, mask: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Where a regression says that points are, and on which slices.

    Args:
        said: (b, s, points, 3) as `RegressionNet` gives.
        planes_mm: (b, s, 3, 3).
        mask: (b, s) False where a slice only pads its stack.
        size: of the grid, px.

    Returns: points (b, points, 3) mm, and log-shares (b, points, s + 1) of the slices; the last
        stands for "not in this stack".
    """
    logits = said[..., 2].masked_fill(~mask[..., None], _HIDDEN).transpose(1, 2)
    log_p = functional.pad(logits, (0, 1)).log_softmax(-1)
    at = (size - 1) / 2 * (1 + said[..., :2])
    origin, across, along = (part[:, :, None] for part in planes_mm.unbind(-2))
    places = origin + at[..., :1] * across + at[..., 1:] * along  # (b, s, points, 3)
    within = logits.softmax(-1)
    return torch.einsum("bps,bspc->bpc", within, places), log_p


def save_net(net: Net, path: Path, metadata: Mapping[str, Any]) -> None:
    """Write the net's weights and, as JSON under "net", its build and what else its use needs.

    The same net and metadata give the same bytes.
    """
    # One entry alone: safetensors writes several in an order that differs from run to run.
    points = net.points if isinstance(net, RegressionNet) else net.keypoints
    built = {
        "method": net.method,
        "keypoints": net.keypoints,
        "satellites": points - net.keypoints,
        "width": net.encoder.stem[0].out_channels,
    }
    text = json.dumps({**metadata, **built}, sort_keys=True)
    temporary = path.with_name(f".writing-{path.name}")
    weights = {name: value.contiguous().cpu() for name, value in net.state_dict().items()}
    # Files that safetensors makes itself are private, whatever the umask says.
    temporary.write_bytes(save(weights, metadata={"net": text}))
    temporary.replace(path)


def load_net(path: Path) -> Net:
    """The net that `save_net` wrote, on the CPU."""
    with safe_open(path, framework="pt") as file:
        built = json.loads(file.metadata()["net"])
        names = ("method", "keypoints", "satellites", "width")
        net = build_net(*(built[name] for name in names))
        net.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    return net
