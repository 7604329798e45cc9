"""Blending of features: manifold mixup, the mixing of samples inside the model."""

from typing import NamedTuple

import torch
from torch import Tensor


class Blend(NamedTuple):
    """How the features of a batch's samples are blended.

    Attributes:
        other: (b,) int64, for each sample the index of the one that is mixed in.
        own_share: the fraction of itself that a sample keeps.
    """

    other: Tensor
    own_share: float

    def of(self, features: Tensor, seen: Tensor | None = None) -> Tensor:
        """Return the blended features; an image that the other sample lacks is not blended.

        Args:
            features: (b, m, width) of each image; without `seen`, of any shape (b, ...).
            seen: (b, m) bool, which images have a slice; None means all.
        """
        blended = self.own_share * features + (1 - self.own_share) * features[self.other]
        if seen is None:
            return blended
        both = (seen & seen[self.other]).unsqueeze(-1)
        return torch.where(both, blended, features)
