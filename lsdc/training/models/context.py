"""Context: each head's vector learns from those of other heads, or of the study's other samples."""

import math

import torch
from torch import Tensor, nn

from lsdc.training.models.sequence import run_recurrent
from lsdc.training.settings.model import ContextKind


class Context(nn.Module):
    """Add to each vector of a set what a net reads from all of them.

    Args:
        kind: "lstm" is a bidirectional recurrent net over the vectors, in order; "transformer" a
            transformer layer.
        features: number of features of a vector.
        width: number of features within the net.
        places: number of places in a set; each has a learned vector.
        dropout: rate of dropout within the transformer layer.
    """

    def __init__(
        self, kind: ContextKind, features: int, *, width: int, places: int, dropout: float
    ) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.LayerNorm(features), nn.Linear(features, width))
        self.places = nn.Parameter(torch.randn(places, width))
        self.layer: nn.LSTM | nn.TransformerEncoderLayer
        if kind == "lstm":
            self.layer = nn.LSTM(width, width, batch_first=True, bidirectional=True)
            self.leave = nn.Linear(2 * width, features)
        else:
            self.layer = nn.TransformerEncoderLayer(
                width,
                math.gcd(width, 4),
                2 * width,
                dropout,
                batch_first=True,
                norm_first=True,
            )
            self.leave = nn.Linear(width, features)

    def forward(self, vectors: Tensor, places: Tensor, there: Tensor) -> Tensor:
        """Return vectors of the same shape.

        Args:
            vectors: (n, t, features).
            places: (n, t) int64, the place of each vector in its set.
            there: (n, t) bool, True for the first vectors of each set; the others affect none.
        """
        entered = self.enter(vectors) + self.places[places]
        if isinstance(self.layer, nn.LSTM):
            related = run_recurrent(self.layer, entered, there.sum(dim=1))
        else:
            related = self.layer(entered, src_key_padding_mask=~there)
        change: Tensor = self.leave(related.to(vectors.dtype))
        return vectors + change


class HeadContext(Context):
    """Context over the heads of a sample."""

    def relate(self, vectors: Tensor) -> Tensor:
        """Return vectors (b, heads, features), each with the sample's other heads in view."""
        places = torch.arange(vectors.shape[1], device=vectors.device).expand(vectors.shape[:2])
        everything = torch.ones_like(places, dtype=torch.bool)
        related: Tensor = self(vectors, places, everything)
        return related


class StudyContext(Context):
    """Context over the samples of a study, for each head by itself."""

    def relate(self, vectors: Tensor, members: Tensor) -> Tensor:
        """Return vectors (b, heads, features), each with the study's other samples in view.

        Args:
            vectors: (b, heads, features).
            members: (b, 2) int64, the study of each sample and its item in the study; samples run
                in the order of their items, and items that are missing are left out.
        """
        members = members.to(vectors.device)
        study, rank = _places_in_studies(members)
        studies, longest = int(study.max()) + 1, int(rank.max()) + 1
        heads, features = vectors.shape[1:]
        grid = vectors.new_zeros(studies, longest, heads, features)
        items = members.new_zeros(studies, longest)
        there = torch.zeros_like(items, dtype=torch.bool)
        grid[study, rank], items[study, rank], there[study, rank] = vectors, members[:, 1], True
        # (studies, longest, heads, f) -> (studies x heads, longest, f) and back
        related: Tensor = self(
            grid.transpose(1, 2).flatten(0, 1),
            items.repeat_interleave(heads, dim=0),
            there.repeat_interleave(heads, dim=0),
        )
        return related.view(studies, heads, longest, features).transpose(1, 2)[study, rank]


def _places_in_studies(members: Tensor) -> tuple[Tensor, Tensor]:
    """Return for each sample the number of its study, and its rank in it: by item, then order.

    >>> _places_in_studies(torch.tensor([[7, 4], [7, 0], [3, 1], [7, 4]]))
    (tensor([1, 1, 0, 1]), tensor([1, 0, 0, 2]))
    """
    _, study = torch.unique(members[:, 0], return_inverse=True)
    by_item = members[:, 1].argsort(stable=True)
    order = by_item[study[by_item].argsort(stable=True)]
    counts = study.bincount()
    starts = counts.cumsum(0) - counts
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device) - starts[study[order]]
    return study, rank
