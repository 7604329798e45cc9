import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from lsdc.training.losses.graded import (
    GradedLoss,
    as_probabilities_of,
    probabilities_by,
)
from lsdc.training.mixing import Mixing
from lsdc.training.models.outputs import Outputs
from lsdc.training.samples import EMPTY_LABEL, Batch, Labels
from lsdc.training.settings.augment import MixSettings
from lsdc.training.settings.loss import LossKind, LossSettings

WEIGHTS = (1.0, 2.0, 4.0)
KINDS: tuple[LossKind, ...] = ("cross_entropy", "bce", "focal")
LABELS = torch.tensor([[0, 2], [1, EMPTY_LABEL], [2, 2], [0, 1]])


@pytest.fixture
def logits() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(4, 2, 3, dtype=torch.float64).requires_grad_()


def test_loss_of_hard_labels_equals_torchs_weighted_cross_entropy(logits: torch.Tensor) -> None:
    for smoothing in (0.0, 0.1):
        loss = GradedLoss(LossSettings(label_smoothing=smoothing), class_weights=WEIGHTS)
        expected = cross_entropy(
            logits.flatten(0, 1),
            LABELS.flatten(),
            logits.new_tensor(WEIGHTS),
            ignore_index=EMPTY_LABEL,
            label_smoothing=smoothing,
        )
        torch.testing.assert_close(loss(Outputs(logits), Labels(LABELS)), expected)


def test_loss_of_soft_labels_equals_torchs_cross_entropy(logits: torch.Tensor) -> None:
    labels = torch.rand(4, 2, 3, dtype=torch.float64)
    labels /= labels.sum(dim=-1, keepdim=True)
    labels[1, 1] = 0
    for smoothing in (0.0, 0.1):
        settings = LossSettings(labels="soft", label_smoothing=smoothing)
        smooth = (1 - smoothing) * labels + smoothing * labels.sum(-1, keepdim=True) / 3
        expected = cross_entropy(
            logits.flatten(0, 1), smooth.flatten(0, 1), logits.new_tensor(WEIGHTS)
        )
        torch.testing.assert_close(
            GradedLoss(settings, class_weights=WEIGHTS)(Outputs(logits), Labels(labels)), expected
        )


def test_loss_without_weights_equals_scikit_learns_log_loss(logits: torch.Tensor) -> None:
    there = LABELS != EMPTY_LABEL
    shares = logits.detach().softmax(-1)[there].numpy()
    expected = log_loss(LABELS[there].numpy(), shares, labels=[0, 1, 2])
    loss = GradedLoss(LossSettings(), class_weights=(1.0, 1.0, 1.0))
    assert loss(Outputs(logits), Labels(LABELS)).item() == pytest.approx(expected)


def test_binary_cross_entropy_equals_torchs_weighted_by_the_label(logits: torch.Tensor) -> None:
    label, expected, weights = 0, 0.0, 0.0
    for row, labels in zip(logits, LABELS, strict=True):
        for answer, label in zip(row, labels.tolist(), strict=True):
            if label != EMPTY_LABEL:
                truth = torch.eye(3, dtype=torch.float64)[label]
                each = float(binary_cross_entropy_with_logits(answer, truth))
                expected += WEIGHTS[label] * each
                weights += WEIGHTS[label]
    loss = GradedLoss(LossSettings(kind="bce"), class_weights=WEIGHTS)
    assert float(loss(Outputs(logits), Labels(LABELS))) == pytest.approx(expected / weights)


def test_focal_loss_equals_a_hand_computed_value() -> None:
    logits = torch.tensor([[[0.6, 0.3, 0.1]], [[0.2, 0.2, 0.6]]]).log()
    loss = GradedLoss(LossSettings(kind="focal", focal_gamma=3.0), class_weights=WEIGHTS)
    by_hand = -(0.4**3 * math.log(0.6) + 2 * 0.8**3 * math.log(0.2)) / 3
    assert float(loss(Outputs(logits), Labels(torch.tensor([[0], [1]])))) == pytest.approx(by_hand)


@pytest.mark.parametrize("kind", KINDS)
def test_class_labels_and_one_hot_labels_have_the_same_loss(
    logits: torch.Tensor, kind: LossKind
) -> None:
    probabilities = torch.eye(3)[LABELS.clamp(min=0)] * (LABELS != EMPTY_LABEL).unsqueeze(-1)
    loss = GradedLoss(LossSettings(kind=kind, label_smoothing=0.1), class_weights=WEIGHTS)
    torch.testing.assert_close(
        loss(Outputs(logits), Labels(LABELS)), loss(Outputs(logits), Labels(probabilities))
    )


@pytest.mark.parametrize("kind", KINDS)
def test_empty_labels_are_ignored(logits: torch.Tensor, kind: LossKind) -> None:
    loss = GradedLoss(LossSettings(kind=kind), class_weights=WEIGHTS)
    loss(Outputs(logits), Labels(LABELS)).backward()
    assert logits.grad is not None
    assert not logits.grad[1, 1].any()
    assert logits.grad[1, 0].all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("labels", ["hard", "soft"])
def test_batch_without_labels_has_zero_loss_and_gradient(
    logits: torch.Tensor, kind: LossKind, labels: Any
) -> None:
    loss = GradedLoss(LossSettings(kind=kind, labels=labels), class_weights=WEIGHTS)(
        Outputs(logits), Labels(torch.full((4, 2), EMPTY_LABEL))
    )
    loss.backward()
    assert loss == 0
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("groups", [2, 3, 5])
def test_group_loss_is_added_for_any_number_of_groups(logits: torch.Tensor, groups: int) -> None:
    group = torch.randn(4, groups, dtype=torch.float64)
    truth = torch.tensor([1, 0, 1, 1])
    loss = GradedLoss(LossSettings(), class_weights=WEIGHTS, group_weight=0.5)
    value = loss(Outputs(logits, group), Labels(LABELS, truth))
    graded = GradedLoss(LossSettings(), class_weights=WEIGHTS)(Outputs(logits), Labels(LABELS))
    torch.testing.assert_close(value, graded + 0.5 * cross_entropy(group, truth))
    value.backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("row", [0, 2])
def test_group_loss_does_not_hide_logits_that_are_not_finite(
    logits: torch.Tensor, bad: float, row: int
) -> None:
    group = torch.randn(4, 3, dtype=torch.float64)
    group[row, 2] = bad
    loss = GradedLoss(LossSettings(), class_weights=WEIGHTS, group_weight=0.5)
    assert not loss(Outputs(logits, group), Labels(LABELS, torch.tensor([1, 0, 1, 1]))).isfinite()


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_sum_to_one_in_the_order_of_the_logits(kind: LossKind) -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5, -torch.inf]])
    shares = probabilities_by(kind)(logits)[0]
    assert float(shares.sum()) == pytest.approx(1)
    assert shares.argsort().tolist() == [3, 1, 2, 0]
    assert shares[3] == 0
    if kind == "bce":
        each = 1 / (1 + np.exp([-2.0, 1.0, -0.5]))
        np.testing.assert_allclose(shares[:3], each / each.sum(), rtol=1e-6)


SETTINGS_OF_LOSSES = st.builds(
    LossSettings,
    kind=st.sampled_from(KINDS),
    labels=st.sampled_from(["hard", "soft"]),
    label_smoothing=st.sampled_from([0.0, 0.1]),
    view_weight=st.sampled_from([0.0, 0.4]),
    slice_weight=st.sampled_from([0.0, 0.7]),
)
SHOWN = (1, 0, 1)  # the heads of three findings of views


@settings(deadline=None, max_examples=60)
@given(
    loss_settings=SETTINGS_OF_LOSSES,
    group_weight=st.sampled_from([0.0, 0.3]),
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    seed=st.integers(0, 99),
    mixed=st.booleans(),
)
def test_weighted_batch_losses_add_up_to_the_loss_of_all_samples(
    loss_settings: LossSettings, group_weight: float, sizes: list[int], seed: int, mixed: bool
) -> None:
    count, random = sum(sizes), torch.Generator().manual_seed(seed)
    # Two heads of 3 classes, a group of 5, three findings and four slices a head, in one tensor.
    logits = torch.randn(count, 28, dtype=torch.float64, generator=random).requires_grad_()
    grades = torch.randint(0, 3, (count, 2), generator=random)
    grades[torch.rand(grades.shape, generator=random) < 0.5] = EMPTY_LABEL
    groups = torch.randint(0, 5, (count,), generator=random)
    marks = torch.eye(5)[torch.randint(0, 5, (count, 2), generator=random)][..., :4]  # or none
    columns = grades.split(sizes), groups.split(sizes), marks.split(sizes)
    parts = [Labels(*part) for part in zip(*columns, strict=True)]
    if mixed:
        parts = [_mixed(part, seed) for part in parts]
    loss = GradedLoss(loss_settings, class_weights=WEIGHTS, group_weight=group_weight, shown=SHOWN)
    together = zip(*(part[:3] for part in parts), strict=True)
    whole = loss(_outputs(logits), Labels(*map(torch.cat, together)))
    (expected,) = torch.autograd.grad(whole, logits)

    weights = torch.stack([loss.weigh(part) for part in parts])
    shares = weights / weights.sum(dim=0).clamp(min=1e-30)
    added = sum(
        (loss.terms(_outputs(own), part) * share).sum()
        for own, part, share in zip(logits.split(sizes), parts, shares, strict=True)
    )
    (found,) = torch.autograd.grad(added, logits)
    torch.testing.assert_close(added, whole, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
    if len(sizes) == 1 and weights.all():
        assert torch.equal(found, expected)  # bit-identical


def _outputs(logits: torch.Tensor) -> Outputs:
    """Return the outputs whose logits are these (b, 28)."""
    grades, group, views, slices = logits.split([6, 5, 9, 8], dim=1)
    return Outputs(
        grades.unflatten(1, (2, 3)), group, views.unflatten(1, (3, 3)), slices.unflatten(1, (2, 4))
    )


def _mixed(labels: Labels[torch.Tensor], seed: int) -> Labels[torch.Tensor]:
    """Return labels as probabilities, mixed or not depending on the seed."""
    mixing = Mixing(MixSettings(mixup=0.5, mixup_alpha=1, cutmix=0, cutmix_alpha=1), 3, groups=5)
    count = len(labels.grades)
    slices, present = torch.rand(count, 4, 2, 2), torch.ones(count, 4).bool()
    batch = Batch(list(range(count)), slices, present, labels)
    grades, group, marks, _ = mixing(batch, seed).labels
    assert group is not None
    return Labels(as_probabilities_of(grades, 3), as_probabilities_of(group, 5), marks)
