"""The log loss of whether any item of a study has the worst class."""

from dataclasses import dataclass

import torch
from torch import Tensor


def any_worst_losses(shares: Tensor, targets: Tensor, members: Tensor) -> Tensor:
    """Return the binary log losses (s,) of studies whose largest worst share is the prediction.

    An item's share is the mean over its samples. Items without a label do not count; a study
    without any has loss 0. Of mixed labels, that of the study is the largest share of the worst
    class: no prediction has a smaller loss than the targets themselves.

    Args:
        shares: (b, classes) probabilities; the last class is the worst.
        targets: (b, classes) probabilities, all zero if missing.
        members: (b, 2) study of each sample and its item there; studies must be whole.
    """
    items = _Items.of(targets, members)
    answers, truth = items.mean(shares), items.mean(targets)  # (i, classes)
    worst = items.largest(answers[:, -1])
    # Not 1 - worst, which is 0 as soon as float32 rounds worst to 1.
    others = -items.largest(-answers[:, :-1].sum(dim=1), least=-1.0)
    label = items.largest(truth[:, -1] / _positive(truth.sum(dim=1)))
    return -(label * _positive(worst).log() + (1 - label) * _positive(others).log())


def weights_of_studies(targets: Tensor, class_weights: Tensor, members: Tensor) -> Tensor:
    """Return the weight (s,) of each study: that of its heaviest label, 0 without any.

    Args:
        targets: (b, classes) probabilities, all zero if missing.
        class_weights: (classes,).
        members: (b, 2) study of each sample and its item there; studies must be whole.
    """
    items = _Items.of(targets, members)
    return items.largest((items.mean(targets) * class_weights).sum(dim=1))


@dataclass(frozen=True)
class _Items:
    """The items of studies in a batch.

    Attributes:
        known: (b,) bool, whether the sample has a label.
        item: (b,) the item of each sample.
        study: (i,) the study of each item.
        studies: their number.
    """

    known: Tensor
    item: Tensor
    study: Tensor
    studies: int

    @classmethod
    def of(cls, targets: Tensor, members: Tensor) -> "_Items":
        items, item = torch.unique(members, dim=0, return_inverse=True)
        studies, study = torch.unique(items[:, 0], return_inverse=True)
        there, device = targets.sum(dim=1) > 0, targets.device
        return cls(there, item.to(device), study.to(device), len(studies))

    def mean(self, values: Tensor) -> Tensor:
        """Return the means (i, classes) of values (b, classes) over samples with a label."""
        known = self.known.to(values.dtype)
        none = values.new_zeros(len(self.study), values.shape[1])
        counts = none[:, 0].index_add(0, self.item, known).clamp(min=1)
        return none.index_add(0, self.item, values * known.unsqueeze(1)) / counts.unsqueeze(1)

    def largest(self, values: Tensor, least: float = 0.0) -> Tensor:
        """Return the largest value of each study (s,), at least `least`, of values (i,)."""
        known = torch.zeros_like(self.study, dtype=torch.bool).index_fill(
            0, self.item[self.known], True
        )
        return values.new_full((self.studies,), least).scatter_reduce(
            0, self.study, values.where(known, least), "amax", include_self=False
        )


def _positive(values: Tensor) -> Tensor:
    return values.clamp(min=torch.finfo(values.dtype).tiny)
