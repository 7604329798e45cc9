"""The encoder: one backbone with normalisation and masking, from slices to a vector per image."""

from pathlib import Path

import torch
from torch import Tensor, nn

from lsdc.training.models.backbone import create_backbone
from lsdc.training.models.pixels import Scale, as_shares
from lsdc.training.settings.model import ModelSettings


class Encoder(nn.Module):
    """Encode images, whose channels are slices, as one vector each.

    Images without any present slice skip the backbone. Each place has a learned vector that is
    added if its slice is absent.

    Args:
        backbone: timm name of the backbone.
        settings: settings of the model; a vector has `width` features.
        images: places of each image's channels.
        shape, pretrained, weights: see `create_backbone`.
    """

    images: Tensor

    def __init__(
        self,
        backbone: str,
        settings: ModelSettings,
        images: list[tuple[int, ...]],
        *,
        shape: tuple[int, int],
        pretrained: bool,
        weights: Path | None,
    ) -> None:
        super().__init__()
        channels, width = len(images[0]), settings.width
        self.backbone = create_backbone(
            backbone,
            settings,
            channels=channels,
            shape=shape,
            pretrained=pretrained,
            weights=weights,
        )
        self.backbone.to(memory_format=torch.channels_last)
        features = self.backbone.head_hidden_size
        # Without the norm a backbone from scratch hardly learns: its features are nearly equal.
        self.reduce = nn.Sequential(nn.LayerNorm(features), nn.Linear(features, width))
        self.register_buffer("images", torch.tensor(images), persistent=False)
        self.absent = nn.Parameter(torch.zeros(len(images), channels, width))
        self.scale = Scale.of(settings.pixels, self.backbone)

    def forward(self, slices: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Return a vector for each image, and which images have a slice.

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
            mean, spread = self.scale.of_each(slices, present)
            sample = seen.nonzero()[:, 0]
            shown = slices[:, self.images][seen]  # (n, c, h, w)
            grey = (as_shares(shown) - mean[sample]) / spread[sample]
            grey = grey.masked_fill(~present_in[seen][..., None, None], 0.0)
            found = self.reduce(self.backbone(grey.contiguous(memory_format=torch.channels_last)))
            features = torch.zeros_like(vectors).masked_scatter(
                seen.unsqueeze(-1), found.to(vectors.dtype)
            )
            vectors = vectors + features
        return vectors, seen
