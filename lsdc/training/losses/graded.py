"""Losses for several heads of graded classes, with missing labels."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    logsigmoid,
    one_hot,
)

from lsdc.training.losses.any_worst import any_worst_losses, weights_of_studies
from lsdc.training.models.outputs import Outputs
from lsdc.training.samples import EMPTY_LABEL, Labels
from lsdc.training.settings.loss import LossKind, LossSettings


class Finding(NamedTuple):
    """Heads that grade the same finding, and the weight of their labels."""

    heads: tuple[int, ...]
    weight: float = 1.0


class AnyWorst(NamedTuple):
    """A head that grades items of studies, and the weight of the term for its worst class."""

    head: int
    weight: float


class GradedLoss:
    """The loss of a model's outputs, given labels, as a sum of terms: of grades and other heads.

    "focal" is cross-entropy times (1 - p) ** focal_gamma, Lin et al. 2017,
    https://arxiv.org/abs/1708.02002. "hard" labels divide by the sum of the weights of the labels
    given, "soft" ones by the number of labels, as torch does for class indices and for class
    probabilities, respectively.

    Args:
        settings: the settings of the loss.
        class_weights: weight of a label, by its class.
        findings: weight of a label, by its head; those of other heads have weight 1.
        average: "labels" is the mean over all labels, each with the weight of its class times that
            of its finding. "findings" is the mean, by the weights of the findings and of
            `any_worst`, of the mean over the labels of each; other heads do not count.
        any_worst: adds the log loss of whether any item of a study has the last class; see
            `lsdc.training.losses.any_worst`. Smoothing and the focal loss do not affect it.
        group_weight: weight of the cross-entropy of the group; 0 if no head predicts it.
        shown: for each finding in `Outputs.views`, the head whose labels it has.

    >>> loss = GradedLoss(LossSettings(), class_weights=(1, 2, 4))
    >>> labels = Labels(torch.tensor([[2, EMPTY_LABEL]]))
    >>> loss(Outputs(torch.zeros(1, 2, 3)), labels)  # log(3), of the first head
    tensor(1.0986)
    """

    def __init__(
        self,
        settings: LossSettings,
        *,
        class_weights: Sequence[float],
        findings: Sequence[Finding] = (),
        average: Literal["labels", "findings"] = "labels",
        any_worst: AnyWorst | None = None,
        group_weight: float = 0.0,
        shown: Sequence[int] = (),
    ) -> None:
        self._settings = settings
        self._class_weights, self._group_weight = tuple(class_weights), group_weight
        self._findings, self._average, self._any = tuple(findings), average, any_worst
        self._shown = list(shown)

    def __call__(
        self, outputs: Outputs, labels: Labels[Tensor], members: Tensor | None = None
    ) -> Tensor:
        """Return a scalar; zero, without gradient, if every label is empty."""
        return self.terms(outputs, labels, members).sum()

    def terms(
        self, outputs: Outputs, labels: Labels[Tensor], members: Tensor | None = None
    ) -> Tensor:
        """Return the terms (t,): of all grades or of each finding, of `any_worst`, of the group.

        Each is its weight times a mean over the batch. To average over batches, weight each by
        `weigh`.

        Args:
            outputs: those of b samples.
            labels: those of the same samples.
            members: (b, 2) study of each sample and its item there, needed for `any_worst`; the
                studies must be whole.
        """
        grades = outputs.grades
        graded = as_probabilities_of(labels.grades, len(self._class_weights))
        terms = [
            share * self._mean(grades[:, heads], graded[:, heads], weights)
            for share, heads, weights in self._parts(grades)
        ]
        if self._any is not None:
            head, share = self._any.head, self._any.weight / self._whole
            shares = probabilities_by(self._settings.kind)(grades[:, head])
            losses = any_worst_losses(shares, graded[:, head], _required(members))  # (s,)
            weights = self._weigh_studies(graded[:, head], members)
            mean = (losses * weights).sum() / _positive(self._divisor(weights.unsqueeze(-1)))
            terms.append(share * mean)
        if self._group_weight and outputs.group is not None and labels.group is not None:
            group = as_probabilities_of(labels.group, outputs.group.shape[-1])
            terms.append(self._group_weight * cross_entropy(outputs.group, group))
        if self._settings.view_weight and outputs.views is not None:
            views = self._mean(outputs.views, graded[:, self._shown], self._of_views(graded))
            terms.append(self._settings.view_weight * views)
        if self._settings.slice_weight and outputs.slices is not None and labels.slices is not None:
            told = _slice_loss(outputs.slices, labels.slices)
            terms.append(self._settings.slice_weight * told)
        return torch.stack(terms)

    def weigh(self, labels: Labels[Tensor], members: Tensor | None = None) -> Tensor:
        """Return (t,) float32: the divisor of each mean in `terms`, for these labels."""
        graded = as_probabilities_of(labels.grades, len(self._class_weights)).float()
        divisors = [
            self._divisor(graded[:, heads] * weights) for _, heads, weights in self._parts(graded)
        ]
        if self._any is not None:
            weights = self._weigh_studies(graded[:, self._any.head], members)
            divisors.append(self._divisor(weights.unsqueeze(-1)))
        if self._group_weight and labels.group is not None:
            divisors.append(torch.full_like(divisors[0], len(labels.group)))
        if self._settings.view_weight:
            divisors.append(self._divisor(graded[:, self._shown] * self._of_views(graded)))
        if self._settings.slice_weight and labels.slices is not None:
            divisors.append(labels.slices.sum())
        return torch.stack(divisors)

    def _by_head(self, grades: Tensor) -> Tensor:
        """Return the weight (heads, classes) of a label, by its head and class."""
        weights = {head: each.weight for each in self._findings for head in each.heads}
        factors = [[weights.get(head, 1.0)] for head in range(grades.shape[1])]
        return grades.new_tensor(factors) * grades.new_tensor(self._class_weights)

    def _of_views(self, grades: Tensor) -> Tensor:
        return self._by_head(grades)[self._shown]

    def _parts(self, grades: Tensor) -> list[tuple[float, list[int] | slice, Tensor]]:
        """Return what is averaged by itself: its share, heads, and weights (heads, classes)."""
        if self._average == "labels":
            return [(1.0, slice(None), self._by_head(grades))]
        classes = grades.new_tensor(self._class_weights)
        return [(each.weight / self._whole, list(each.heads), classes) for each in self._findings]

    @property
    def _whole(self) -> float:
        """The sum of the weights of what is averaged in "findings"."""
        if self._average == "labels":
            return 1.0
        any_weight = self._any.weight if self._any else 0.0
        return sum((each.weight for each in self._findings), any_weight)

    def _weigh_studies(self, targets: Tensor, members: Tensor | None) -> Tensor:
        """Return the weight (s,) of each study, given the labels (b, classes) of its samples."""
        weights = targets.new_tensor(self._class_weights)
        return weights_of_studies(targets, weights, _required(members))

    def _mean(self, logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Return the mean loss of heads, given their weights (classes,) or (heads, classes)."""
        settings = self._settings
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
        return losses.sum() / _positive(self._divisor(targets * weights))

    def _divisor(self, weights: Tensor) -> Tensor:
        """Return by what a mean over the weights (..., classes) of labels divides."""
        if self._settings.labels == "soft":
            return weights.new_tensor(float(weights[..., 0].numel()))
        return weights.sum()


def _positive(divisor: Tensor) -> Tensor:
    return divisor.clamp(min=torch.finfo(divisor.dtype).tiny)


def _required(members: Tensor | None) -> Tensor:
    if members is None:
        raise ValueError("the term for the worst class of a study: expected members, got none")
    return members


def _slice_loss(scores: Tensor, marks: Tensor) -> Tensor:
    """Return the mean cross-entropy of scores (b, heads, s), by the sum of the marks of each."""
    losses = -marks * scores.log_softmax(dim=-1).masked_fill(marks == 0, 0.0)  # else 0 * -inf
    return losses.sum() / _positive(marks.sum())


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
