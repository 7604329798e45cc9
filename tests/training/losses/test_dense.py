"""Losses of pixels, against their definitions."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from lsdc.training.losses.dense import DenseLoss, soft_fbeta
from lsdc.training.models.outputs import Outputs
from lsdc.training.samples import Labels
from lsdc.training.settings.dense import DenseLossSettings

SHAPE = (3, 1, 4, 5)


@pytest.fixture
def outputs() -> Outputs:
    return Outputs(torch.randn(SHAPE, generator=torch.Generator().manual_seed(0)))


@pytest.fixture
def labels() -> Labels[torch.Tensor]:
    chance = torch.Generator().manual_seed(1)
    return Labels(torch.rand(SHAPE, generator=chance).round(), weights=torch.ones(SHAPE))


def only(term: str, **others: float) -> DenseLoss:
    return DenseLoss(DenseLossSettings(**{"bce": 0.0, term: 1.0, **others}))


def test_cross_entropy_is_torch_s_mean(outputs: Outputs, labels: Labels[torch.Tensor]) -> None:
    expected = binary_cross_entropy_with_logits(outputs.grades, labels.grades)
    torch.testing.assert_close(only("bce")(outputs, labels), expected)
    torch.testing.assert_close(only("bce")(outputs, labels._replace(weights=None)), expected)


def test_hard_predictions_score_the_exact_fbeta() -> None:
    # 3 hits, 1 false alarm, 2 misses: F0.5 = 1.25 * 3 / (1.25 * 3 + 0.25 * 2 + 1)
    found = torch.tensor([1.0, 1, 1, 1, 0, 0, 0])
    truth = torch.tensor([1.0, 1, 1, 0, 1, 1, 0])
    assert soft_fbeta(found, truth, torch.ones(7), 0.5).item() == pytest.approx(0.714285714)
    assert soft_fbeta(found, truth, torch.ones(7), 1.0).item() == pytest.approx(6 / 9)


@pytest.mark.parametrize("term", ["bce", "dice", "fbeta"])
def test_pixels_without_weight_have_no_effect(
    term: str, outputs: Outputs, labels: Labels[torch.Tensor]
) -> None:
    weights = torch.ones(SHAPE)
    weights[:, :, 2:] = 0
    inside = Labels(labels.grades[:, :, :2], weights=weights[:, :, :2])
    expected = only(term)(Outputs(outputs.grades[:, :, :2]), inside)
    wrong = labels.grades.clone()
    wrong[:, :, 2:] = 1 - wrong[:, :, 2:]
    found = only(term)(outputs, Labels(wrong, weights=weights))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("term", ["bce", "dice", "fbeta"])
def test_a_batch_without_known_pixels_costs_nothing(term: str, outputs: Outputs) -> None:
    logits = outputs.grades.clone().requires_grad_()
    labels = Labels(torch.ones(SHAPE), weights=torch.zeros(SHAPE))
    loss = only(term)(Outputs(logits), labels)
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_terms_are_added_by_weight(outputs: Outputs, labels: Labels[torch.Tensor]) -> None:
    mix = DenseLoss(DenseLossSettings(bce=0.5, dice=2.0, fbeta=3.0))
    parts = [only(term)(outputs, labels) for term in ("bce", "dice", "fbeta")]
    expected = 0.5 * parts[0] + 2 * parts[1] + 3 * parts[2]
    torch.testing.assert_close(mix(outputs, labels), expected)


def test_smoothing_moves_targets_towards_one_half(
    outputs: Outputs, labels: Labels[torch.Tensor]
) -> None:
    smooth = labels._replace(grades=labels.grades * 0.8 + 0.1)
    found = only("bce", label_smoothing=0.2)(outputs, labels)
    torch.testing.assert_close(found, only("bce")(outputs, smooth))


def test_cross_entropies_of_batches_average_by_their_weights(
    outputs: Outputs, labels: Labels[torch.Tensor]
) -> None:
    weights = torch.rand(SHAPE, generator=torch.Generator().manual_seed(2))
    loss, labels = only("bce"), labels._replace(weights=weights)
    rows = [slice(0, 1), slice(1, 3)]
    parts = [labels.map(lambda each, own=own: each[own]) for own in rows]
    divisors = torch.stack([loss.weigh(part) for part in parts])
    terms = torch.stack(
        [
            loss.terms(Outputs(outputs.grades[own]), part)
            for own, part in zip(rows, parts, strict=True)
        ]
    )
    whole = (terms * divisors).sum() / divisors.sum()
    torch.testing.assert_close(whole, loss(outputs, labels))


def test_settings_without_effect_are_refused() -> None:
    with pytest.raises(ValueError, match="expected a weight above 0"):
        DenseLossSettings(bce=0.0)
    with pytest.raises(ValueError, match="beta has no effect: expected fbeta above 0"):
        DenseLossSettings(beta=2.0)
