"""What the training loop asks of a loss."""

from typing import Protocol

from torch import Tensor

from lsdc.training.models.outputs import Outputs
from lsdc.training.samples import Labels


class Criterion(Protocol):
    """A loss that is a sum of terms, each a weighted mean over labels."""

    def __call__(
        self, outputs: Outputs, labels: Labels[Tensor], members: Tensor | None = None
    ) -> Tensor:
        """Return the sum of the terms, a scalar."""
        ...

    def terms(
        self, outputs: Outputs, labels: Labels[Tensor], members: Tensor | None = None
    ) -> Tensor:
        """Return the terms (t,) of a batch; to average over batches, weight each by `weigh`."""
        ...

    def weigh(self, labels: Labels[Tensor], members: Tensor | None = None) -> Tensor:
        """Return (t,) float32: the divisor of each mean in `terms`, for these labels."""
        ...
