"""Auxiliary heads, which only help to train: a head a view, and scores of the annotated slice."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lsdc.training.models.pooling import PoolSlices, or_else


@dataclass(frozen=True)
class View:
    """A kind of image.

    Attributes:
        places: the places of its slices.
        heads: the heads whose findings it shows.
    """

    places: tuple[int, ...]
    heads: tuple[int, ...]


class ViewHeads(nn.Module):
    """A head for each view, which grades the findings that the view shows from its slices alone.

    It pools the encoded slices by an attention of its own, ahead of any net over all slices.

    Args:
        views: the views.
        owns: for each view, the (m,) bool mask of its images.
        width: number of features of an image.
        classes: number of classes of each finding.
        dropout: rate of dropout ahead of the linear layers.
    """

    def __init__(
        self,
        views: Sequence[View],
        owns: Sequence[Tensor],
        *,
        width: int,
        classes: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self._classes = classes
        self.pools = nn.ModuleList(
            PoolSlices("view_attention", width, rnn_width=width, own=own) for own in owns
        )
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Dropout(dropout), nn.Linear(width, len(view.heads) * classes))
            for view in views
        )

    def forward(self, features: Tensor, seen: Tensor) -> Tensor:
        """Return the logits (b, findings, classes): those of the first view, then of the next.

        Args:
            features: (b, m, width).
            seen: (b, m) bool, the images that have a slice.
        """
        logits = [
            head(pool(features, seen)) for pool, head in zip(self.pools, self.heads, strict=True)
        ]
        return torch.cat(logits, dim=1).view(len(features), -1, self._classes)


class SliceScores(nn.Module):
    """Scores by which each head tells the slice that is annotated: an attention of its own.

    The first place of the competition RSNA 2024 trained its attention so ("aux depth"); sharing the
    weights with the attention that pools the slices was worse.

    Args:
        features: number of features of a slice.
        marked: for each head, the places among which the annotated slice may be.
        slices: number of slices.
    """

    marked: Tensor

    def __init__(self, features: int, marked: Sequence[tuple[int, ...]], slices: int) -> None:
        super().__init__()
        masks = torch.tensor([[place in own for place in range(slices)] for own in marked])
        self.register_buffer("marked", masks, persistent=False)  # (heads, s)
        self.scores = nn.ModuleList(nn.Linear(features, 1) for _ in marked)

    def forward(self, sequences: Sequence[Tensor], seen: Tensor) -> Tensor:
        """Return scores (b, heads, s), -inf for slices that are absent or cannot be annotated.

        In a sample without any slice to score, the vectors of absent ones are scored.

        Args:
            sequences: for each head, the features (b, s, features).
            seen: (b, s) bool, the slices that are there.
        """
        scores = [
            score(sequence).squeeze(-1)
            for score, sequence in zip(self.scores, sequences, strict=True)
        ]
        there = or_else(seen.unsqueeze(1) & self.marked, self.marked)
        return torch.stack(scores, dim=1).float().masked_fill(~there, -torch.inf)
