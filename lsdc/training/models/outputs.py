"""What a model returns: the logits of its heads, each with a name."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Outputs(NamedTuple):
    """The logits of the heads, for b samples; None for an auxiliary head that the model lacks.

    Attributes:
        grades: (b, heads, classes). Predictions are made from these alone.
        group: (b, groups), the group of the sample.
    """

    grades: Tensor
    group: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> "Outputs":
        """Return the outputs with each of them changed."""
        return Outputs(*(each if each is None else change(each) for each in self))

    @staticmethod
    def join(parts: Sequence["Outputs"]) -> "Outputs":
        """Return the outputs of several batches, one after the other; `parts` is not empty."""
        columns = zip(*parts, strict=True)
        return Outputs(*(None if each[0] is None else torch.cat(each) for each in columns))
