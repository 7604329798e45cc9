"""Losses over several heads of graded classes, some labels empty."""

from torch import Tensor
from torch.nn.functional import cross_entropy

from lsdc.training.samples import EMPTY_LABEL


def weighted_cross_entropy(logits: Tensor, labels: Tensor, class_weights: Tensor) -> Tensor:
    """Cross-entropy, each label weighing as much as its class, divided by the sum of the weights.

    Args:
        logits: (batch, heads, classes).
        labels: (batch, heads) int64; EMPTY_LABEL counts for nothing.
        class_weights: (classes,).

    Returns:
        A scalar; zero, and no gradient, where every label is empty.
    """
    if not bool((labels != EMPTY_LABEL).any()):
        return logits.sum() * 0.0
    return cross_entropy(
        logits.flatten(0, 1), labels.flatten(), class_weights, ignore_index=EMPTY_LABEL
    )
