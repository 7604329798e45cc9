"""Pooling of feature maps and of slice sequences to vectors."""

from typing import assert_never

import torch
from torch import Tensor, nn

from lsdc.training.settings.model import SlicePool

_ATTENTION_WIDTH = 128  # width of the hidden layer of "mlp_attention"


class GeneralisedMean(nn.Module):
    """Pool (n, c, h, w) to (n, c, 1, 1) by the generalised mean, with a learned power p.

    p starts at 3; 1 is the mean, infinity the maximum. Radenovic et al. 2019,
    https://arxiv.org/abs/1711.02512.
    """

    def __init__(self) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.tensor(3.0))

    def forward(self, features: Tensor) -> Tensor:
        """Pool the features, in float32, as powers exceed the range of float16."""
        powers = features.float().clamp(min=1e-6).pow(self.power)
        pooled: Tensor = powers.mean(dim=(2, 3), keepdim=True).pow(1 / self.power)
        return pooled.to(features.dtype)


class PoolSlices(nn.Module):
    """Pool a sequence of slices to one vector, ignoring absent slices.

    Args:
        kind: "last" takes the last state of each direction of a recurrent net; "range_mean" the
            mean of the slices `own`; "mean_max" concatenates mean and maximum; "attention" weights
            slices by a linear function of their features, "mlp_attention" by a two-layer one,
            "view_attention" only the slices `own` by a linear one.
        features: number of features of a slice.
        rnn_width: width of each direction of the recurrent net; these features come first.
        own: (m,) bool mask of slices for "range_mean" and "view_attention".
    """

    own: Tensor

    def __init__(self, kind: SlicePool, features: int, *, rnn_width: int, own: Tensor) -> None:
        super().__init__()
        self.kind, self.rnn_width = kind, rnn_width
        self.features = features
        self.register_buffer("own", own, persistent=False)
        match kind:
            case "mean" | "range_mean" | "max":
                pass
            case "last":
                self.features = 2 * rnn_width
            case "mean_max":
                self.features = 2 * features
            case "attention" | "view_attention":
                self.score: nn.Module = nn.Linear(features, 1)
            case "mlp_attention":
                self.score = nn.Sequential(
                    nn.Linear(features, _ATTENTION_WIDTH), nn.Tanh(), nn.Linear(_ATTENTION_WIDTH, 1)
                )
            case _:
                assert_never(kind)

    def forward(self, sequence: Tensor, seen: Tensor) -> Tensor:
        """Pool (b, m, features) with a mask (b, m) bool to (b, self.features).

        In a sample without any slice to pool, the vectors of absent slices are pooled.
        """
        counted = self._counted(seen)
        match self.kind:
            case "last":
                forth, back = sequence[:, -1, : self.rnn_width], sequence[:, 0, self.rnn_width :]
                return torch.cat([forth, back[:, : self.rnn_width]], dim=-1)
            case "mean" | "range_mean":
                return _mean(sequence, counted)
            case "max":
                return _max(sequence, counted)
            case "mean_max":
                return torch.cat([_mean(sequence, counted), _max(sequence, counted)], dim=-1)
            case "attention" | "mlp_attention" | "view_attention":
                shares = self._shares(sequence, counted).to(sequence.dtype)
                return torch.einsum("bm,bmf->bf", shares, sequence)
        assert_never(self.kind)

    def attention(self, sequence: Tensor, seen: Tensor) -> Tensor | None:
        """Return the weights (b, m) float32 by which slices are pooled; see `forward`.

        They sum to 1. None if this kind of pooling has no weights that depend on the slices.
        """
        if self.kind not in ("attention", "mlp_attention", "view_attention"):
            return None
        return self._shares(sequence, self._counted(seen))

    def _counted(self, seen: Tensor) -> Tensor:
        """Return the mask (b, m) of the slices that are pooled."""
        if self.kind in ("range_mean", "view_attention"):
            return or_else(seen & self.own, self.own)
        return or_else(seen, torch.ones_like(seen))

    def _shares(self, sequence: Tensor, counted: Tensor) -> Tensor:
        scores = self.score(sequence).squeeze(-1).float().masked_fill(~counted, -torch.inf)
        shares: Tensor = scores.softmax(dim=1)
        return shares


def or_else(some: Tensor, all_: Tensor) -> Tensor:
    """Return mask `some` where it has any True along the last axis, else `all_`."""
    return torch.where(some.any(dim=-1, keepdim=True), some, all_)


def _mean(sequence: Tensor, counted: Tensor) -> Tensor:
    shares = counted / counted.sum(dim=1, keepdim=True)
    return torch.einsum("bm,bmf->bf", shares.to(sequence.dtype), sequence)


def _max(sequence: Tensor, counted: Tensor) -> Tensor:
    return sequence.masked_fill(~counted.unsqueeze(-1), -torch.inf).amax(dim=1)
