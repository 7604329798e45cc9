"""Recurrent nets over the slices of a sample."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

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
        read = run_recurrent(self.rnn, self.dropout(slices))
        return torch.cat([read, slices.to(read.dtype)], dim=-1)


def run_recurrent(rnn: nn.LSTM | nn.GRU, sequence: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Return the states (b, m, states) of a recurrent net over a sequence (b, m, features).

    With `lengths` (b,), each sequence ends there, and later states are 0.
    """
    if sequence.is_cuda:
        return _states(rnn, sequence, lengths)
    # On most CPUs oneDNN raises for recurrent nets in reduced precision.
    with torch.autocast(sequence.device.type, enabled=False):
        return _states(rnn, sequence.float(), lengths)


def _states(rnn: nn.LSTM | nn.GRU, sequence: Tensor, lengths: Tensor | None) -> Tensor:
    states: Tensor
    if lengths is None:
        states = rnn(sequence)[0]
        return states
    packed = pack_padded_sequence(sequence, lengths.cpu(), batch_first=True, enforce_sorted=False)
    read = rnn(packed)[0]
    states, _ = pad_packed_sequence(read, batch_first=True, total_length=sequence.shape[1])
    return states


def _make_orthogonal(rnn: nn.LSTM | nn.GRU) -> None:
    """Set each gate's weights to an orthogonal matrix, and its biases to zero."""
    for name, parameter in rnn.named_parameters():
        if name.startswith("weight"):
            for gate in parameter.detach().chunk(len(parameter) // rnn.hidden_size):
                nn.init.orthogonal_(gate)
        else:
            nn.init.zeros_(parameter)
