"""The loss of several yes-or-no labels a head, each with a weight."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from lsdc.training.models.outputs import Outputs
from lsdc.training.samples import Labels


class BinaryLoss:
    """The binary cross-entropy of each label, as the weighted mean over all that are known.

    Labels are `Labels.grades` (b, heads, k), the probabilities of k independent labels, NaN where
    missing. Without `positive_weights` and smoothing it is the mean of the log losses of the labels
    by `weights`. Torch's mean with the same `weight` is sum(weights) / k times as large.

    Args:
        weights: (k,) the weight of each label in the mean.
        positive_weights: (k,) the factor of the loss of a positive label, as torch's `pos_weight`;
            it makes the loss another one than the log loss.
        label_smoothing: the fraction of a target that is moved to one half.

    >>> loss = BinaryLoss(weights=(1, 1, 2))
    >>> loss(Outputs(torch.zeros(1, 1, 3)), Labels(torch.tensor([[[1.0, 0.0, 1.0]]])))  # log(2)
    tensor(0.6931)
    """

    def __init__(
        self,
        *,
        weights: Sequence[float],
        positive_weights: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        self._weights = tuple(weights)
        self._positive = tuple(positive_weights or [1.0] * len(self._weights))
        self._smoothing = label_smoothing

    def __call__(
        self, outputs: Outputs, labels: Labels[Tensor], members: Tensor | None = None
    ) -> Tensor:
        """Return a scalar; zero, without gradient, if every label is missing."""
        return self.terms(outputs, labels, members).sum()

    def terms(
        self,
        outputs: Outputs,
        labels: Labels[Tensor],
        members: Tensor | None = None,  # noqa: ARG002  # every label counts by itself
    ) -> Tensor:
        """Return the only term (1,): the weighted mean over the labels of a batch."""
        logits = outputs.grades
        weights = self._known(labels)
        targets = labels.grades.nan_to_num(0.0)
        losses = binary_cross_entropy_with_logits(
            logits,
            targets * (1 - self._smoothing) + self._smoothing / 2,
            reduction="none",
            pos_weight=logits.new_tensor(self._positive),
        )
        divisor = weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)
        return ((losses * weights).sum() / divisor).unsqueeze(0)

    def weigh(
        self,
        labels: Labels[Tensor],
        members: Tensor | None = None,  # noqa: ARG002  # every label counts by itself
    ) -> Tensor:
        """Return (1,) float32: the sum of the weights of the labels that are known."""
        return self._known(labels).sum().unsqueeze(0)

    def _known(self, labels: Labels[Tensor]) -> Tensor:
        """Return (b, heads, k) float32: the weight of each label, 0 where it is missing."""
        targets = labels.grades
        weights = torch.tensor(self._weights, dtype=torch.float32, device=targets.device)
        return (~targets.isnan()).float() * weights
