"""The loss of targets that are images: a probability for each pixel."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from lsdc.training.models.outputs import Outputs
from lsdc.training.samples import Labels
from lsdc.training.settings.dense import DenseLossSettings


class DenseLoss:
    """A weighted sum of binary cross-entropy, soft Dice and soft F-beta over the pixels of a batch.

    Labels are `Labels.grades` (b, heads, rows, columns), the probabilities of pixels, and
    `Labels.weights` of the same shape: how much each pixel counts, 0 where it is not known; None
    counts all alike. Smoothing moves the targets of the cross-entropy and of the other terms alike.

    Soft F-beta is (1 + beta^2) tp / ((1 + beta^2) tp + beta^2 fn + fp), with sums over all pixels
    of probabilities in the place of counts; Dice is that with beta 1 (Milletari et al. 2016,
    https://arxiv.org/abs/1606.04797, without the squares). A batch without a positive pixel has the
    loss 1 in them, whatever is predicted.

    >>> loss = DenseLoss(DenseLossSettings())
    >>> labels = Labels(torch.ones(1, 1, 2, 2))
    >>> loss(Outputs(torch.zeros(1, 1, 2, 2)), labels)  # log(2)
    tensor(0.6931)
    """

    def __init__(self, settings: DenseLossSettings) -> None:
        self._settings = settings

    def __call__(
        self, outputs: Outputs, labels: Labels[Tensor], members: Tensor | None = None
    ) -> Tensor:
        """Return a scalar; zero, without gradient, if no pixel counts."""
        return self.terms(outputs, labels, members).sum()

    def terms(
        self,
        outputs: Outputs,
        labels: Labels[Tensor],
        members: Tensor | None = None,  # noqa: ARG002  # every pixel counts by itself
    ) -> Tensor:
        """Return the only term (1,): the loss of a batch."""
        settings, logits = self._settings, outputs.grades
        weights = _weights(labels)
        share = settings.label_smoothing
        targets = labels.grades.float() * (1 - share) + share / 2
        total = weights.sum()
        loss = logits.new_zeros(())
        if settings.bce:
            losses = binary_cross_entropy_with_logits(
                logits,
                targets,
                reduction="none",
                pos_weight=logits.new_tensor(settings.positive_weight),
            )
            loss = loss + settings.bce * (losses * weights).sum() / _positive(total)
        found = logits.sigmoid()
        for weight, beta in ((settings.dice, 1.0), (settings.fbeta, settings.beta)):
            if weight:
                loss = loss + weight * (1 - soft_fbeta(found, targets, weights, beta))
        return (loss * (total > 0)).unsqueeze(0)

    def weigh(
        self,
        labels: Labels[Tensor],
        members: Tensor | None = None,  # noqa: ARG002  # every pixel counts by itself
    ) -> Tensor:
        """Return (1,) float32: the sum of the weights of the pixels."""
        return _weights(labels).sum().unsqueeze(0)


def soft_fbeta(found: Tensor, targets: Tensor, weights: Tensor, beta: float) -> Tensor:
    """Return the soft F-beta of all pixels, from 0 to 1; 0 where nothing is found or to be found.

    Args:
        found: probabilities of any shape.
        targets: the same, of the labels.
        weights: the same, how much each counts.
        beta: how much more recall counts than precision.

    >>> soft_fbeta(torch.tensor([1.0, 1.0]), torch.tensor([1.0, 0.0]), torch.ones(2), beta=0.5)
    tensor(0.5556)
    """
    square = beta**2
    both = (found * targets * weights).sum()
    # (1 + b^2) tp + b^2 fn + fp, as tp + fn are the targets, and tp + fp is what is found.
    either = square * (targets * weights).sum() + (found * weights).sum()
    score: Tensor = (1 + square) * both / _positive(either)
    return score


def _weights(labels: Labels[Tensor]) -> Tensor:
    """Return the weight of each pixel (b, heads, rows, columns) float32."""
    if labels.weights is None:
        return torch.ones_like(labels.grades, dtype=torch.float32)
    return labels.weights.float()


def _positive(divisor: Tensor) -> Tensor:
    return divisor.clamp(min=torch.finfo(divisor.dtype).tiny)
