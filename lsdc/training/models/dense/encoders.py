"""Encoders: from the layers of a sample to maps of several sizes, which still have a depth."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from timm.layers import Format
from torch import Tensor, nn

from lsdc.training.models.backbone import create_map_backbone, map_strides
from lsdc.training.models.volume import STRIDES, VolumeBackbone
from lsdc.training.settings.dense import DenseModelSettings


class DenseEncoder(Protocol):
    """Maps layers (b, groups, channels, h, w) to maps (b, features, depth, h', w').

    Attributes:
        channels: the features of each map, from the largest map to the smallest.
        backbone: the network, whose weights may be pretrained.
    """

    channels: list[int]
    backbone: Any

    def __call__(self, layers: Tensor) -> list[Tensor]:
        """Return the maps, from the largest to the smallest."""
        ...


@dataclass(frozen=True)
class Layout:
    """How the layers of a sample enter a network: `groups` groups of `channels` layers, in order.

    Attributes:
        shape: rows and columns of a layer.
    """

    groups: int
    channels: int
    shape: tuple[int, int]

    @property
    def layers(self) -> int:
        """The number of layers."""
        return self.groups * self.channels


class ImageEncoder(nn.Module):
    """An encoder of images, which sees each group of layers as one image; depth is the groups.

    Args:
        settings: the architecture.
        layout: the layers of a sample.
        stages: the stages whose maps are returned.
        pretrained, weights: see `lsdc.training.models.backbone.create_backbone`.
    """

    def __init__(
        self,
        settings: DenseModelSettings,
        layout: Layout,
        stages: Sequence[int],
        *,
        pretrained: bool,
        weights: Path | None,
    ) -> None:
        super().__init__()
        self.backbone = create_map_backbone(
            settings.backbone,
            settings,
            stages,
            channels=layout.channels,
            shape=layout.shape,
            pretrained=pretrained,
            weights=weights,
        )
        self.backbone.to(memory_format=torch.channels_last)
        self.channels: list[int] = self.backbone.feature_info.channels()
        self._channels_last = getattr(self.backbone, "output_fmt", None) == Format.NHWC

    def forward(self, layers: Tensor) -> list[Tensor]:
        """Return the maps (b, features, groups, h', w'); see `DenseEncoder`."""
        images = layers.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        maps = self.backbone(images)  # each (b x groups, features, h', w')
        if self._channels_last:
            maps = [each.permute(0, 3, 1, 2) for each in maps]
        return [each.unflatten(0, layers.shape[:2]).transpose(1, 2) for each in maps]


class VolumeEncoder(nn.Module):
    """A residual network in three dimensions; see `VolumeBackbone`.

    Args:
        settings: the architecture.
        layout: the layers of a sample; those of a group are channels of one place in depth.
        stages: the stages whose maps are returned.
    """

    def __init__(self, settings: DenseModelSettings, layout: Layout, stages: Sequence[int]) -> None:
        super().__init__()
        self.backbone = VolumeBackbone(
            settings.backbone, settings.encoder_width, stages, channels=layout.channels
        )
        self.channels = self.backbone.channels

    def forward(self, layers: Tensor) -> list[Tensor]:
        """Return the maps (b, features, depth, h', w'); see `DenseEncoder`."""
        maps: list[Tensor] = self.backbone(layers.transpose(1, 2))
        return maps


def strides_of(settings: DenseModelSettings) -> list[int]:
    """Return the strides of the maps of the encoder's stages; see `map_strides`."""
    return STRIDES if settings.encoder == "volume" else map_strides(settings.backbone)


def build_encoder(
    settings: DenseModelSettings,
    layout: Layout,
    stages: Sequence[int],
    *,
    pretrained: bool,
    weights: Path | None,
) -> DenseEncoder:
    """Build the encoder of the settings; see `ImageEncoder` and `VolumeEncoder`."""
    if settings.encoder == "volume":
        return VolumeEncoder(settings, layout, stages)
    return ImageEncoder(settings, layout, stages, pretrained=pretrained, weights=weights)
