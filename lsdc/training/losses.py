"""Losses for several heads of graded classes, with missing labels."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    logsigmoid,
    one_hot,
)

from lsdc.training.samples import EMPTY_LABEL
from lsdc.training.settings.loss import LossKind, LossSettings


class GradedLoss:
    """The loss of logits (b, heads, classes), given labels.

    Labels are classes (b, heads) int64, EMPTY_LABEL if missing, or probabilities
    (b, heads, classes), all zero if missing. With a group, its head and label come last, as in the
    output of `lsdc.training.models.model.SliceModel`.

    "focal" is cross-entropy times (1 - p) ** focal_gamma, Lin et al. 2017,
    https://arxiv.org/abs/1708.02002. "hard" labels divide by the sum of the weights of the labels
    given, "soft" ones by the number of labels, as torch does for class indices and for class
    probabilities, respectively.

    Args:
        settings: the settings of the loss.
        class_weights: weight of a label, by its class.
        group_weight: weight of the cross-entropy of the group, predicted by the last head; 0 if
            there is no such head.

    >>> loss = GradedLoss(LossSettings(), class_weights=(1, 2, 4))
    >>> loss(torch.zeros(1, 2, 3), torch.tensor([[2, EMPTY_LABEL]]))  # log(3), of the first head
    tensor(1.0986)
    """

    def __init__(
        self, settings: LossSettings, *, class_weights: Sequence[float], group_weight: float = 0.0
    ) -> None:
        self._settings = settings
        self._class_weights, self._group_weight = tuple(class_weights), group_weight

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return a scalar; zero, without gradient, if every label is empty."""
        return self.terms(logits, labels).sum()

    def terms(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of the grades and, with a group, that of the group: (1,) or (2,).

        Each is a mean over the batch. To average over batches, weight each by `weigh`.
        """
        classes = len(self._class_weights)
        targets = as_probabilities_of(labels, logits.shape[-1])
        if not self._group_weight:
            return self._graded(logits, targets).unsqueeze(0)
        graded = self._graded(logits[:, :-1, :classes], targets[:, :-1, :classes])
        # Skip padding classes: their probability 0 times their log-probability -inf is NaN.
        known = ~logits[:, -1].isneginf().all(dim=0)
        group = cross_entropy(logits[:, -1, known], targets[:, -1, known])
        return torch.stack([graded, self._group_weight * group])

    def weigh(self, labels: Tensor) -> Tensor:
        """Return (terms,) float32: the divisor of each mean in `terms`, for these labels."""
        classes = len(self._class_weights)
        graded = labels[:, :-1] if self._group_weight else labels
        if self._settings.labels == "soft":
            weight = torch.tensor(float(graded.shape[0] * graded.shape[1]), device=labels.device)
        else:
            targets = as_probabilities_of(graded, classes)[..., :classes].float()
            weight = (targets * targets.new_tensor(self._class_weights)).sum()
        if not self._group_weight:
            return weight.unsqueeze(0)
        return torch.stack([weight, torch.full_like(weight, len(labels))])

    def _graded(self, logits: Tensor, targets: Tensor) -> Tensor:
        settings = self._settings
        weights = logits.new_tensor(self._class_weights)
        there = targets.sum(dim=-1, keepdim=True)  # 1, or 0 for empty labels
        share = settings.label_smoothing
        smooth = (1 - share) * targets + share * there / targets.shape[-1]
        if settings.kind == "bce":
            each = binary_cross_entropy_with_logits(logits, smooth, reduction="none").mean(dim=-1)
            losses = (targets * weights).sum(dim=-1) * each
        else:
            log_shares = logits.log_softmax(dim=-1)
            each = -smooth * weights * log_shares
            if settings.kind == "focal":
                each = each * (1 - log_shares.exp()).pow(settings.focal_gamma)
            losses = each.sum(dim=-1)
        if settings.labels == "soft":
            return losses.mean()
        return losses.sum() / (targets * weights).sum().clamp(min=torch.finfo(losses.dtype).tiny)


def as_probabilities_of(labels: Tensor, classes: int) -> Tensor:
    """Return labels as probabilities (..., classes) float32, all zero for empty ones."""
    if labels.is_floating_point():
        return labels
    there = labels != EMPTY_LABEL
    return one_hot(labels.where(there, 0), classes).float() * there.unsqueeze(-1)


def probabilities_by(kind: LossKind) -> Callable[[Tensor], Tensor]:
    """Return the function from logits (..., classes) to probabilities for a loss.

    Probabilities sum to 1; the independent ones of "bce" are divided by their sum.
    """
    if kind == "bce":
        return lambda logits: logsigmoid(logits).softmax(dim=-1)
    return lambda logits: logits.softmax(dim=-1)
