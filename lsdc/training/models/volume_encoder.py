"""The encoder of volumes: from the slices of a sample to a vector for each, seen in its volume."""

from collections.abc import Sequence

import torch
from timm.layers import SelectAdaptivePool2d
from torch import Tensor, nn

from lsdc.training.models.pixels import Scale, as_shares
from lsdc.training.models.pooling import GeneralisedMean
from lsdc.training.models.volume import VolumeBackbone
from lsdc.training.settings.model import ModelSettings

_LAST_STAGE = 4


class VolumeEncoder(nn.Module):
    """Encode the slices of volumes as one vector each, by a 3-D network that keeps the depth.

    All volumes of a sample pass the same network, in one batch: shorter ones are filled up with
    mean grey, as are absent slices. Volumes without any slice skip it. Each place has a learned
    vector that is added if its slice is absent.

    Args:
        settings: settings of the model; a vector has `width` features.
        volumes: the places of each volume, in order.
    """

    places: Tensor
    filled: Tensor

    def __init__(self, settings: ModelSettings, volumes: Sequence[Sequence[int]]) -> None:
        super().__init__()
        depth = max(map(len, volumes))
        places = torch.zeros(len(volumes), depth, dtype=torch.int64)
        filled = torch.zeros(len(volumes), depth, dtype=torch.bool)
        for number, own in enumerate(volumes):
            places[number, : len(own)] = torch.tensor(own)
            filled[number, : len(own)] = True
        self.register_buffer("places", places, persistent=False)
        self.register_buffer("filled", filled, persistent=False)
        self.backbone = VolumeBackbone(
            settings.backbone, settings.encoder_width, [_LAST_STAGE], keeps_depth=True
        )
        self.pool: nn.Module = (
            nn.Sequential(GeneralisedMean(), nn.Flatten())
            if settings.map_pool == "gem"
            else SelectAdaptivePool2d(pool_type=settings.map_pool, flatten=True)
        )
        (features,) = self.backbone.channels
        self.reduce = nn.Sequential(nn.LayerNorm(features), nn.Linear(features, settings.width))
        self.absent = nn.Parameter(torch.zeros(int(filled.sum()), settings.width))
        self.scale = Scale(settings.pixels)

    def forward(self, slices: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Return a vector for each slice of the volumes, in order, and which of them are there.

        Args:
            slices: (b, s, h, w) uint8, or float from 0 to 1; s is all of a sample's slices.
            present: (b, s) bool.

        Returns:
            (b, m, width) and (b, m) bool, where m is the number of slices of all volumes.
        """
        there = present[:, self.places] & self.filled  # (b, volumes, depth)
        seen = there[:, self.filled]  # (b, m)
        vectors = (~seen).to(self.absent.dtype).unsqueeze(-1) * self.absent
        some = there.any(dim=-1)  # (b, volumes)
        if bool(some.any()):
            mean, spread = self.scale.of_each(slices, present)
            sample = some.nonzero()[:, 0]
            shown = slices[:, self.places][some]  # (n, depth, h, w)
            grey = (as_shares(shown) - mean[sample]) / spread[sample]
            grey = grey.masked_fill(~there[some][..., None, None], 0.0)
            (maps,) = self.backbone(grey.unsqueeze(1))  # (n, f, depth, h', w')
            found = self.reduce(self.pool(maps.transpose(1, 2).flatten(0, 1)))
            every = torch.zeros(*there.shape, found.shape[-1], device=found.device).to(found.dtype)
            every[some] = found.unflatten(0, there[some].shape)
            vectors = vectors + (every[:, self.filled] * seen.unsqueeze(-1)).to(vectors.dtype)
        return vectors, seen
