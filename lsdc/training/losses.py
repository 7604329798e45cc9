"""Losses over several heads of graded classes, some labels empty."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    logsigmoid,
    one_hot,
)

from lsdc.training.samples import EMPTY_LABEL

LossKind = Literal["cross_entropy", "bce", "focal"]


@dataclass(frozen=True)
class LossSettings:
    """What is made small.

    Attributes:
        kind: "bce" is binary cross-entropy, each class by itself; "focal" is cross-entropy times
            (1 - p) ** focal_gamma, Lin et al. 2017, https://arxiv.org/abs/1708.02002.
        class_weights: how much a label weighs, by its class.
        labels: "hard" divides by the sum of the weights of labels that are there, "soft" by the
            number of labels, empty ones included; so torch has it for class indices and for class
            probabilities.
        label_smoothing: share of each label that is spread evenly over all classes.
        focal_gamma: of "focal" alone.
        group_weight: of the cross-entropy of the group, which the last head tells; 0 where there is
            no such head.
    """

    kind: LossKind
    class_weights: tuple[float, ...]
    labels: Literal["hard", "soft"] = "hard"
    label_smoothing: float = 0.0
    focal_gamma: float = 2.0
    group_weight: float = 0.0


class GradedLoss:
    """The loss of logits (b, heads, classes), given labels.

    Labels are classes (b, heads) int64, EMPTY_LABEL where none was given, or probabilities
    (b, heads, classes), all zero there. With a group, its head and its label are the last, as
    `lsdc.training.models.model.SliceModel` gives it.
    """

    def __init__(self, settings: LossSettings) -> None:
        self._settings = settings

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """A scalar; zero, and no gradient, where every label is empty."""
        return self.terms(logits, labels).sum()

    def terms(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of the grades and, with a group, that of the group: (1,) or (2,).

        Each is a mean over the batch. The mean over several batches is not the mean of their means:
        `weigh` says how much each counts.
        """
        settings, classes = self._settings, len(self._settings.class_weights)
        targets = as_probabilities_of(labels, logits.shape[-1])
        if not settings.group_weight:
            return self._graded(logits, targets).unsqueeze(0)
        graded = self._graded(logits[:, :-1, :classes], targets[:, :-1, :classes])
        # Classes that are not groups have no probability; times -inf that would be no number.
        known = ~logits[:, -1].isneginf().all(dim=0)
        group = cross_entropy(logits[:, -1, known], targets[:, -1, known])
        return torch.stack([graded, settings.group_weight * group])

    def weigh(self, labels: Tensor) -> Tensor:
        """(terms,) float32: what each of the means in `terms` is divided by, for these labels."""
        settings, classes = self._settings, len(self._settings.class_weights)
        graded = labels[:, :-1] if settings.group_weight else labels
        if settings.labels == "soft":
            weight = torch.tensor(float(graded.shape[0] * graded.shape[1]), device=labels.device)
        else:
            targets = as_probabilities_of(graded, classes)[..., :classes].float()
            weight = (targets * targets.new_tensor(settings.class_weights)).sum()
        if not settings.group_weight:
            return weight.unsqueeze(0)
        return torch.stack([weight, torch.full_like(weight, len(labels))])

    def _graded(self, logits: Tensor, targets: Tensor) -> Tensor:
        settings = self._settings
        weights = logits.new_tensor(settings.class_weights)
        there = targets.sum(dim=-1, keepdim=True)  # 1, or 0 of empty labels
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
    """Labels as probabilities (..., classes) float32, which empty ones have none of."""
    if labels.is_floating_point():
        return labels
    there = labels != EMPTY_LABEL
    return one_hot(labels.where(there, 0), classes).float() * there.unsqueeze(-1)


def probabilities_by(kind: LossKind) -> Callable[[Tensor], Tensor]:
    """How logits (..., classes) of a model that was trained with the loss become probabilities.

    They sum to 1; those of "bce", each by itself at first, are divided by their sum.
    """
    if kind == "bce":
        return lambda logits: logsigmoid(logits).softmax(dim=-1)
    return lambda logits: logits.softmax(dim=-1)
