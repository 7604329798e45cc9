"""A recurrent net over the vectors of a study's images, in their order."""

import torch
from torch import Tensor, nn

from lsdc.training.models.outputs import Outputs
from lsdc.training.models.sequence import run_recurrent
from lsdc.training.settings.model import Recurrent


class StudySequence(nn.Module):
    """Label each image of a study from its vector and those of the others.

    A vector has features and, at its end, further numbers. The net sees the features, their
    differences to the previous and to the next image (0 at the ends of a study) and the further
    numbers. A bidirectional recurrent net reads them, and a linear layer its states beside its
    input, so that the labels are learnt long before the net has learnt to pass the input on.

    Args:
        kind: the kind of the recurrent net.
        features: number of features of a vector, of which differences are taken.
        further: number of its further numbers.
        outputs: number of logits of an image.
        width: number of states of each direction.
        layers: number of recurrent layers.
        dropout: rate of dropout of the input, between the layers and before the last one.
    """

    def __init__(
        self,
        kind: Recurrent,
        *,
        features: int,
        further: int,
        outputs: int,
        width: int,
        layers: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self._features = features
        self.enter = nn.Sequential(
            nn.LayerNorm(3 * features + further),
            nn.Dropout(dropout),
            nn.Linear(3 * features + further, width),
            nn.ReLU(),
        )
        net = nn.LSTM if kind == "lstm" else nn.GRU
        between = dropout if layers > 1 else 0.0  # torch warns if dropout has no effect
        self.rnn = net(width, width, layers, batch_first=True, bidirectional=True, dropout=between)
        self.leave = nn.Sequential(nn.Dropout(dropout), nn.Linear(3 * width, outputs))

    def forward(self, slices: Tensor, present: Tensor, members: Tensor | None = None) -> Outputs:  # noqa: ARG002  # a sample is a study
        """Return the logits (b, t, outputs) of each image; those of absent images mean nothing.

        Args:
            slices: (b, t, 1, features + further) float, the vectors of up to t images.
            present: (b, t) bool, True for the images of a study, which come first; others affect
                none.
            members: not used.
        """
        lengths = present.sum(dim=1)
        vectors = slices.squeeze(2) * present.unsqueeze(-1)
        read = self.enter(_with_differences(vectors, lengths, self._features))
        states = run_recurrent(self.rnn, read, lengths)
        return Outputs(self.leave(torch.cat([states, read.to(states.dtype)], dim=-1)))


def _with_differences(vectors: Tensor, lengths: Tensor, features: int) -> Tensor:
    """Return vectors (b, t, 3 x features + further) with the differences to the neighbours.

    >>> vectors = torch.tensor([[[1.0], [4.0], [9.0], [0.0]]])
    >>> _with_differences(vectors, torch.tensor([3]), 1).int().tolist()[0]
    [[1, 0, -3], [4, 3, -5], [9, 5, 0], [0, 0, 0]]
    """
    own, further = vectors[..., :features], vectors[..., features:]
    step = own[:, 1:] - own[:, :-1]  # (b, t - 1, features)
    # Both images of a step must be there.
    place = torch.arange(1, vectors.shape[1], device=vectors.device)
    step = step * (place < lengths.to(vectors.device).unsqueeze(1)).unsqueeze(-1)
    none = torch.zeros_like(own[:, :1])
    before, after = torch.cat([none, step], dim=1), torch.cat([-step, none], dim=1)
    return torch.cat([own, before, after, further], dim=-1)
