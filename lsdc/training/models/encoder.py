"""From slices, some absent, to a vector an image: one backbone and what stands around it."""

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from lsdc.training.models.backbone import BackboneSettings, create_backbone

Pixels = Literal["pretraining", "sample", "plain"]


class Encoder(nn.Module):
    """Sees images whose channels are slices, and says of each one vector.

    An image none of whose slices is there never reaches the backbone. Each place has a learned
    vector that is added where its slice is absent.

    Args:
        settings: of the backbone; its channels are those of an image.
        images: the places of each image's channels.
        width: of a vector.
        pixels: scaled by the mean and spread that the backbone expects, by those of the sample's
            slices, or from 0 to 1.
        pretrained, weights: see `create_backbone`.
    """

    images: Tensor

    def __init__(
        self,
        settings: BackboneSettings,
        images: list[tuple[int, ...]],
        *,
        width: int,
        pixels: Pixels,
        pretrained: bool,
        weights: Path | None,
    ) -> None:
        super().__init__()
        self.pixels = pixels
        self.backbone = create_backbone(settings, pretrained=pretrained, weights=weights)
        self.backbone.to(memory_format=torch.channels_last)
        features, expects = self.backbone.num_features, self.backbone.pretrained_cfg
        # Without the norm a backbone from scratch hardly learns: its features all look the same.
        self.reduce = nn.Sequential(nn.LayerNorm(features), nn.Linear(features, width))
        self.register_buffer("images", torch.tensor(images), persistent=False)
        self.absent = nn.Parameter(torch.zeros(len(images), settings.channels, width))
        # The mean and spread of grey values that the backbone expects, of its three colours.
        self.mean, self.spread = (sum(expects[key]) / 3 for key in ("mean", "std"))

    def forward(self, slices: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """A vector for each image, and which of them show anything.

        Args:
            slices: (b, s, h, w) uint8, or float from 0 to 1; s is all of a sample's slices.
            present: (b, s) bool.

        Returns:
            (b, images, width) and (b, images) bool.
        """
        present_in = present[:, self.images]  # (b, m, c)
        seen = present_in.any(dim=-1)  # (b, m)
        vectors = torch.einsum("bmc,mcw->bmw", (~present_in).to(self.absent.dtype), self.absent)
        if bool(seen.any()):
            mean, spread = self._scale(slices, present)
            sample = seen.nonzero()[:, 0]
            shown = slices[:, self.images][seen]  # (n, c, h, w)
            grey = (_shares(shown) - mean[sample]) / spread[sample]
            grey = grey.masked_fill(~present_in[seen][..., None, None], 0.0)
            found = self.reduce(self.backbone(grey.contiguous(memory_format=torch.channels_last)))
            told = torch.zeros_like(vectors).masked_scatter(
                seen.unsqueeze(-1), found.to(vectors.dtype)
            )
            vectors = vectors + told
        return vectors, seen

    def _scale(self, slices: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """What a sample's pixels are lessened and divided by, each (b, 1, 1, 1)."""
        if self.pixels == "sample":
            there = present[..., None, None]
            shares = _shares(slices) * there
            pixels = there.sum(dim=(1, 2, 3), keepdim=True).clamp(min=1) * slices[0, 0].numel()
            mean = shares.sum(dim=(1, 2, 3), keepdim=True) / pixels
            variance = ((shares - mean) * there).square().sum(dim=(1, 2, 3), keepdim=True) / pixels
            return mean, variance.sqrt().clamp(min=1e-3)
        of_each = torch.ones(len(slices), 1, 1, 1, device=slices.device)
        if self.pixels == "plain":
            return 0 * of_each, of_each
        return self.mean * of_each, self.spread * of_each


def _shares(slices: Tensor) -> Tensor:
    """Grey values from 0 to 1."""
    return slices.float() / (1 if slices.is_floating_point() else 255)
