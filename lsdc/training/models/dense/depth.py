"""Layers along the depth of maps: residual blocks in three dimensions, and pooling."""

import torch
from torch import Tensor, nn

from lsdc.training.settings.dense import DepthPool, Norm


def norm_of(
    norm: Norm, features: int, *, dimensions: int
) -> nn.BatchNorm2d | nn.BatchNorm3d | nn.GroupNorm:
    """Return the norm of maps; "layer" normalises all features and places of a sample together."""
    if norm == "layer":
        return nn.GroupNorm(1, features)
    return nn.BatchNorm2d(features) if dimensions == 2 else nn.BatchNorm3d(features)


class ResidualBlock3d(nn.Module):
    """A bottleneck in three dimensions whose middle convolution is depthwise.

    The last norm starts at 0, so that the block starts as the identity.

    Args:
        features: number of features of its input and output.
        norm: kind of its norms, see `norm_of`.
    """

    def __init__(self, features: int, norm: Norm) -> None:
        super().__init__()
        inner = max(features // 4, 1)
        last = norm_of(norm, features, dimensions=3)
        nn.init.zeros_(last.weight)
        self.change = nn.Sequential(
            nn.Conv3d(features, inner, 1, bias=False),
            norm_of(norm, inner, dimensions=3),
            nn.ReLU(),
            nn.Conv3d(inner, inner, 1, bias=False),
            nn.Conv3d(inner, inner, 3, padding=1, groups=inner, bias=False),
            norm_of(norm, inner, dimensions=3),
            nn.ReLU(),
            nn.Conv3d(inner, features, 1, bias=False),
            last,
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of the same shape (b, features, depth, h, w)."""
        changed: Tensor = self.change(maps)
        return torch.relu(maps + changed)


class PoolDepth(nn.Module):
    """Pool maps (b, features, depth, h, w) over depth to (b, self.features, h, w).

    Args:
        kind: "mean_max" concatenates mean and maximum; "attention" is the mean by weights that a
            linear function of the features gives each place, and whose sum over depth is 1.
        features: number of features of the maps.
    """

    def __init__(self, kind: DepthPool, features: int) -> None:
        super().__init__()
        self._kind = kind
        self.features = 2 * features if kind == "mean_max" else features
        if kind == "attention":
            self.score = nn.Conv3d(features, 1, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the pooled maps."""
        if self._kind == "attention":
            shares = self.score(maps).softmax(dim=2)
            pooled: Tensor = (maps * shares).sum(dim=2)
            return pooled
        ways = {"mean": maps.mean(dim=2), "max": maps.amax(dim=2)}
        return torch.cat([ways[way] for way in self._kind.split("_")], dim=1)
