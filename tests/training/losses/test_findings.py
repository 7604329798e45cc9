"""Weights of findings: what each has of the gradient, and of the loss."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lsdc.training.losses.graded import Finding, GradedLoss
from lsdc.training.models.outputs import Outputs
from lsdc.training.samples import EMPTY_LABEL, Labels
from lsdc.training.settings.loss import LossSettings

pytestmark = pytest.mark.usefixtures("one_thread")

WEIGHTS = (1.0, 2.0, 4.0)
HEADS = ((0,), (1, 2), (3, 4))

finding_weights = st.tuples(*[st.floats(0.1, 10)] * 3)


def some_labels(seed: int, samples: int = 12) -> Tensor:
    """Return labels (n, 5), a quarter of which are empty."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (samples, 5), generator=random)
    labels[torch.rand(labels.shape, generator=random) < 0.25] = EMPTY_LABEL
    return labels


def some_logits(seed: int, samples: int = 12) -> Tensor:
    random = torch.Generator().manual_seed(seed + 1)
    return torch.randn(samples, 5, 3, dtype=torch.float64, generator=random)


def weighted(weights: tuple[float, float, float], **more: str) -> GradedLoss:
    findings = [Finding(heads, weight) for heads, weight in zip(HEADS, weights, strict=True)]
    return GradedLoss(LossSettings(**more), class_weights=WEIGHTS, findings=findings)


def gradient(loss: GradedLoss, logits: Tensor, labels: Tensor) -> Tensor:
    logits = logits.clone().requires_grad_()
    (found,) = torch.autograd.grad(loss(Outputs(logits), Labels(labels)), logits)
    return found


@settings(deadline=None, max_examples=40)
@given(finding_weights, st.integers(0, 99))
def test_share_of_a_finding_in_the_gradient_is_its_share_of_the_weights(
    weights: tuple[float, float, float], seed: int
) -> None:
    labels = some_labels(seed)
    logits = torch.zeros(12, 5, 3, dtype=torch.float64)  # every answer is equally wrong
    found = gradient(weighted(weights), logits, labels).abs().sum(dim=(0, 2))  # (heads,)
    classes = torch.tensor([*WEIGHTS, 0.0])  # the last is that of an empty label
    by_head = classes[labels.where(labels != EMPTY_LABEL, 3)].sum(dim=0).double()
    for heads, weight in zip(HEADS, weights, strict=True):
        by_head[list(heads)] *= weight
    torch.testing.assert_close(found / found.sum(), by_head / by_head.sum())


@settings(deadline=None, max_examples=40)
@given(
    finding_weights,
    st.integers(0, 99),
    st.sampled_from(["cross_entropy", "bce", "focal"]),
    st.sampled_from(["hard", "soft"]),
)
def test_weights_scale_the_gradients_of_the_heads_of_each_finding(
    weights: tuple[float, float, float], seed: int, kind: str, form: str
) -> None:
    labels, logits = some_labels(seed), some_logits(seed)
    plain, loss = (
        weighted((1.0, 1.0, 1.0), kind=kind, labels=form),
        weighted(weights, kind=kind, labels=form),
    )
    expected = gradient(plain, logits, labels) * (
        plain.weigh(Labels(labels)) / loss.weigh(Labels(labels))
    )
    for heads, weight in zip(HEADS, weights, strict=True):
        expected[:, list(heads)] *= weight
    torch.testing.assert_close(gradient(loss, logits, labels), expected, rtol=1e-5, atol=1e-9)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 99), st.sampled_from(["hard", "soft"]))
def test_weights_of_one_change_no_bit(seed: int, form: str) -> None:
    labels, logits = some_labels(seed), some_logits(seed).float()
    plain = GradedLoss(LossSettings(labels=form), class_weights=WEIGHTS)
    ones = weighted((1.0, 1.0, 1.0), labels=form)
    assert torch.equal(
        plain(Outputs(logits), Labels(labels)), ones(Outputs(logits), Labels(labels))
    )
    assert torch.equal(gradient(plain, logits, labels), gradient(ones, logits, labels))
