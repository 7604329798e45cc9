import pytest
import torch

from lsdc.training.losses import weighted_cross_entropy
from lsdc.training.samples import EMPTY_LABEL

WEIGHTS = torch.tensor([1.0, 2.0, 4.0])


def test_loss_is_the_weighted_mean_over_labels() -> None:
    logits = torch.randn(2, 1, 3)
    labels = torch.tensor([[0], [2]])
    losses = -logits.log_softmax(-1)[[0, 1], 0, [0, 2]]
    expected = (losses[0] + 4 * losses[1]) / 5
    assert weighted_cross_entropy(logits, labels, WEIGHTS) == pytest.approx(float(expected))


def test_empty_labels_count_for_nothing() -> None:
    logits = torch.randn(2, 2, 3, requires_grad=True)
    labels = torch.tensor([[1, EMPTY_LABEL], [EMPTY_LABEL, 2]])
    loss = weighted_cross_entropy(logits, labels, WEIGHTS)
    loss.backward()
    assert logits.grad is not None
    assert not logits.grad[0, 1].any()
    assert not logits.grad[1, 0].any()
    assert logits.grad[0, 0].any()


def test_batch_without_labels_has_no_loss_and_no_gradient() -> None:
    logits = torch.randn(2, 2, 3, requires_grad=True)
    loss = weighted_cross_entropy(logits, torch.full((2, 2), EMPTY_LABEL), WEIGHTS)
    loss.backward()
    assert loss == 0
    assert logits.grad is not None
    assert not logits.grad.any()
