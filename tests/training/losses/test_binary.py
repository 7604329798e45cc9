"""The binary cross-entropy of several labels, with weights, smoothing and missing labels."""

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from lsdc.training.losses.binary import BinaryLoss
from lsdc.training.models.outputs import Outputs
from lsdc.training.samples import Labels

pytestmark = pytest.mark.usefixtures("one_thread")

WEIGHTS = (1.0, 1.0, 2.0)


def draw(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return logits and labels (8, 2, 3)."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, (8, 2, 3)).astype(np.float32)
    return torch.tensor(random.normal(0, 2, (8, 2, 3)), dtype=torch.float32), torch.tensor(labels)


def test_it_is_the_weighted_mean_of_the_log_losses_of_the_labels() -> None:
    logits, labels = draw()
    expected = sum(
        weight * log_loss(labels[..., k].ravel(), logits[..., k].sigmoid().ravel())
        for k, weight in enumerate(WEIGHTS)
    ) / sum(WEIGHTS)
    loss = BinaryLoss(weights=WEIGHTS)
    assert loss(Outputs(logits), Labels(labels)).item() == pytest.approx(expected, rel=1e-5)
    torchs = binary_cross_entropy_with_logits(logits, labels, torch.tensor(WEIGHTS))
    assert torchs.item() == pytest.approx(expected * sum(WEIGHTS) / 3, rel=1e-5)


def test_positive_weights_are_torchs_and_smoothing_moves_targets_to_a_half() -> None:
    logits, labels = draw()
    positive = (3.0, 1.0, 0.5)
    loss = BinaryLoss(weights=(1, 1, 1), positive_weights=positive, label_smoothing=0.2)
    expected = binary_cross_entropy_with_logits(
        logits, 0.8 * labels + 0.1, pos_weight=torch.tensor(positive)
    )
    torch.testing.assert_close(loss(Outputs(logits), Labels(labels)), expected)


def test_missing_labels_have_no_effect_and_no_gradient() -> None:
    logits, labels = draw()
    labels[3:, 0], labels[0, 1, 2] = torch.nan, torch.nan
    logits.requires_grad_()
    loss = BinaryLoss(weights=WEIGHTS)(Outputs(logits), Labels(labels))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert (gradient == 0).equal(labels.isnan())
    other = torch.where(labels.isnan(), 100.0, logits.detach())
    assert BinaryLoss(weights=WEIGHTS)(Outputs(other), Labels(labels)).item() == loss.item()


def test_without_any_label_the_loss_is_zero() -> None:
    logits, labels = draw()
    loss = BinaryLoss(weights=WEIGHTS)
    missing = Labels(torch.full_like(labels, torch.nan))
    assert loss(Outputs(logits), missing).item() == 0
    assert loss.weigh(missing).tolist() == [0]


def test_batches_weighed_together_give_the_loss_of_the_whole() -> None:
    logits, labels = draw()
    labels[:5, 0, 1] = torch.nan
    loss = BinaryLoss(weights=WEIGHTS)
    parts = [(logits[own], Labels(labels[own])) for own in (slice(0, 3), slice(3, 8))]
    weights = torch.stack([loss.weigh(own) for _, own in parts])
    shares = weights / weights.sum(dim=0)
    means = torch.stack([loss.terms(Outputs(each), own) for each, own in parts])
    torch.testing.assert_close((means * shares).sum(), loss(Outputs(logits), Labels(labels)))


def test_mixed_labels_are_learnt_as_probabilities() -> None:
    shares = torch.tensor([[[0.3, 0.8]]])
    logits = torch.logit(shares).requires_grad_()
    loss = BinaryLoss(weights=(1, 2))(Outputs(logits), Labels(shares))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.abs().max() < 1e-7
