"""What a model returns: the logits of its heads, each with a name, and features if asked."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Outputs(NamedTuple):
    """The logits of the heads, for b samples; None for what the model lacks.

    Attributes:
        grades: (b, heads, classes), or (b, heads, rows, columns) for the pixels of an image.
            Predictions are made from these alone.
        group: (b, groups), the group of the sample.
        views: (b, findings, classes), the findings of each view by its own slices, see `ViewHeads`.
        slices: (b, heads, s), which slice is annotated for the head, see `SliceScores`.
        features: (b, features), what the heads read of a sample, see `Embedder`; no logits.
    """

    grades: Tensor
    group: Tensor | None = None
    views: Tensor | None = None
    slices: Tensor | None = None
    features: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> "Outputs":
        """Return the outputs with each of them changed."""
        others = (None if each is None else change(each) for each in self[1:])
        return Outputs(change(self.grades), *others)

    @staticmethod
    def join(parts: Sequence["Outputs"]) -> "Outputs":
        """Return the outputs of several batches, one after the other; `parts` is not empty."""
        columns = zip(*(part[1:] for part in parts), strict=True)
        known = ([each for each in column if each is not None] for column in columns)
        others = (torch.cat(each) if each else None for each in known)
        return Outputs(torch.cat([part.grades for part in parts]), *others)
