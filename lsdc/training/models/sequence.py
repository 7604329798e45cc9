"""Recurrent nets over the slices of a sample."""

from typing import Literal

import torch
from torch import Tensor, nn

Rnn = Literal["none", "lstm", "gru"]
RnnInit = Literal["uniform", "orthogonal"]


class SliceSequence(nn.Module):
    """(b, m, width) to (b, m, features): each slice in the light of the others.

    The recurrent net's two directions come first; then what it was given, since from scratch the
    heads learn from the slices long before the net has learned to pass them on.
    """

    def __init__(
        self, kind: Rnn, width: int, *, layers: int, dropout: float, init: RnnInit
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.features = width if kind == "none" else 3 * width
        self.rnn: nn.LSTM | nn.GRU | None = None
        if kind != "none":
            net = nn.LSTM if kind == "lstm" else nn.GRU
            between = dropout if layers > 1 else 0.0  # torch warns of what changes nothing
            self.rnn = net(
                width, width, layers, batch_first=True, bidirectional=True, dropout=between
            )
        if self.rnn is not None and init == "orthogonal":
            _make_orthogonal(self.rnn)

    def forward(self, slices: Tensor) -> Tensor:
        """See the class."""
        if self.rnn is None:
            dropped: Tensor = self.dropout(slices)
            return dropped
        dropped = self.dropout(slices)
        if slices.is_cuda:
            return torch.cat([self.rnn(dropped)[0], slices], dim=-1)
        # Most CPUs have no recurrent nets in less than full precision: oneDNN raises.
        with torch.autocast(slices.device.type, enabled=False):
            return torch.cat([self.rnn(dropped.float())[0], slices.float()], dim=-1)


def _make_orthogonal(rnn: nn.LSTM | nn.GRU) -> None:
    """Each gate's weights an orthogonal matrix, its biases zero."""
    for name, parameter in rnn.named_parameters():
        if name.startswith("weight"):
            for gate in parameter.detach().chunk(len(parameter) // rnn.hidden_size):
                nn.init.orthogonal_(gate)
        else:
            nn.init.zeros_(parameter)
