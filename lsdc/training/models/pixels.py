"""The normalisation of pixel values ahead of a network."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lsdc.training.settings.dense import DensePixels

_LEAST_SPREAD = 1e-3  # of grey values from 0 to 1; a sample of one grey value has none


@dataclass(frozen=True)
class Scale:
    """What is subtracted from the grey values of samples, and what they are divided by.

    Attributes:
        pixels: "sample" are mean and standard deviation of all slices of a sample together,
            "layer" those of each slice by itself.
        mean, spread: those of the pretraining, for "pretraining".
    """

    pixels: DensePixels
    mean: float = 0.0
    spread: float = 1.0

    @classmethod
    def of(cls, pixels: DensePixels, backbone: Any) -> "Scale":
        """Return the scale for a timm backbone: mean and spread are averages over the colours."""
        expects = backbone.pretrained_cfg
        return cls(pixels, *(sum(expects[key]) / 3 for key in ("mean", "std")))

    def of_each(self, slices: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean to subtract from a sample's pixels and the divisor, each (b, 1, 1, 1).

        With "layer", each is (b, s, 1, 1).

        Args:
            slices: (b, s, h, w) uint8, or float from 0 to 1.
            present: (b, s) bool; absent slices do not count.
        """
        if self.pixels == "sample":
            there = present[..., None, None]
            shares = as_shares(slices) * there
            pixels = there.sum(dim=(1, 2, 3), keepdim=True).clamp(min=1) * slices[0, 0].numel()
            mean = shares.sum(dim=(1, 2, 3), keepdim=True) / pixels
            variance = ((shares - mean) * there).square().sum(dim=(1, 2, 3), keepdim=True) / pixels
            return mean, variance.sqrt().clamp(min=_LEAST_SPREAD)
        if self.pixels == "layer":
            shares = as_shares(slices)
            spread = shares.std(dim=(2, 3), keepdim=True, correction=0)
            return shares.mean(dim=(2, 3), keepdim=True), spread.clamp(min=_LEAST_SPREAD)
        of_each = torch.ones(len(slices), 1, 1, 1, device=slices.device)
        if self.pixels == "plain":
            return 0 * of_each, of_each
        return self.mean * of_each, self.spread * of_each


def as_shares(slices: Tensor) -> Tensor:
    """Return grey values from 0 to 1, float32."""
    return slices.float() / (1 if slices.is_floating_point() else 255)
