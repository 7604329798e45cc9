"""Recurrent nets over the slices of a sample."""

import torch
from torch import Tensor, nn

from lsdc.training.settings.model import ModelSettings


class SliceSequence(nn.Module):
    """A recurrent net over slices, (b, m, width) to (b, m, features).

    The outputs of its two directions come first, then its input: in training from scratch, the
    heads learn from the slices long before the net has learned to pass them on.
    """

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        width, layers, dropout = settings.width, settings.rnn_layers, settings.slice_dropout
        self.dropout = nn.Dropout(dropout)
        self.features = width if settings.rnn == "none" else 3 * width
        self.rnn: nn.LSTM | nn.GRU | None = None
        if settings.rnn != "none":
            net = nn.LSTM if settings.rnn == "lstm" else nn.GRU
            between = dropout if layers > 1 else 0.0  # torch warns if dropout has no effect
            self.rnn = net(
                width, width, layers, batch_first=True, bidirectional=True, dropout=between
            )
        if self.rnn is not None and settings.rnn_init == "orthogonal":
            _make_orthogonal(self.rnn)

    def forward(self, slices: Tensor) -> Tensor:
        """Return the features of each slice."""
        if self.rnn is None:
            dropped: Tensor = self.dropout(slices)
            return dropped
        dropped = self.dropout(slices)
        if slices.is_cuda:
            return torch.cat([self.rnn(dropped)[0], slices], dim=-1)
        # On most CPUs oneDNN raises for recurrent nets in reduced precision.
        with torch.autocast(slices.device.type, enabled=False):
            return torch.cat([self.rnn(dropped.float())[0], slices.float()], dim=-1)


def _make_orthogonal(rnn: nn.LSTM | nn.GRU) -> None:
    """Set each gate's weights to an orthogonal matrix, and its biases to zero."""
    for name, parameter in rnn.named_parameters():
        if name.startswith("weight"):
            for gate in parameter.detach().chunk(len(parameter) // rnn.hidden_size):
                nn.init.orthogonal_(gate)
        else:
            nn.init.zeros_(parameter)
