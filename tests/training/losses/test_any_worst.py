"""The log loss of whether any item of a study has the worst class."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss
from torch import Tensor

from lsdc.training.losses.graded import AnyWorst, Finding, GradedLoss, as_probabilities_of
from lsdc.training.models.outputs import Outputs
from lsdc.training.samples import EMPTY_LABEL, Labels
from lsdc.training.settings.loss import LossSettings

pytestmark = pytest.mark.usefixtures("one_thread")

WEIGHTS = (1.0, 2.0, 4.0)
HEADS = (Finding((0,)), Finding((1, 2)))


def build(kind: str = "cross_entropy", labels: str = "hard", weight: float = 1.0) -> GradedLoss:
    return GradedLoss(
        LossSettings(kind=kind, labels=labels),
        class_weights=WEIGHTS,
        findings=HEADS,
        any_worst=AnyWorst(0, weight),
    )


def draw(seed: int, studies: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits, labels (one study has none) and members of studies of 1 to 5 items."""
    random = np.random.default_rng(seed)
    members = np.array(
        [(10 * study, item) for study in range(studies) for item in range(random.integers(1, 6))]
    )
    random.shuffle(members)
    labels = random.integers(0, 3, (len(members), 3))
    labels[random.random(labels.shape) < 0.3] = EMPTY_LABEL
    labels[members[:, 0] == 0, 0] = EMPTY_LABEL
    logits = torch.tensor(random.normal(0, 2, (len(members), 3, 3)))
    return logits, torch.tensor(labels), torch.tensor(members)


def any_term(loss: GradedLoss, logits: Tensor, labels: Tensor, members: Tensor) -> Tensor:
    return loss.terms(Outputs(logits), Labels(labels), members)[-1]


def plain_any_loss(shares: Tensor, labels: Tensor, members: Tensor) -> float:
    """Return it by scikit-learn, from the head's probabilities (b, 3) and its labels (b,)."""
    answers: dict[int, list[tuple[int, float]]] = {}
    for share, label, (study, _) in zip(
        shares.tolist(), labels.tolist(), members.tolist(), strict=True
    ):
        if label != EMPTY_LABEL:
            answers.setdefault(study, []).append((label, share[2]))
    studies = list(answers.values())
    return float(
        log_loss(
            [max(label for label, _ in study) == 2 for study in studies],
            [max(share for _, share in study) for study in studies],
            sample_weight=[2 ** max(label for label, _ in study) for study in studies],
            labels=[False, True],
        )
    )


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 999))
def test_term_equals_scikit_learns_log_loss_of_the_largest_probability(seed: int) -> None:
    logits, labels, members = draw(seed)
    found = any_term(build(weight=0.5), logits, labels, members)
    expected = plain_any_loss(logits[:, 0].softmax(-1), labels[:, 0], members)
    assert found.item() == pytest.approx(0.5 * expected, abs=1e-9)


def test_only_the_largest_labelled_answer_of_a_study_has_a_gradient() -> None:
    logits, labels, members = draw(3)
    logits.requires_grad_()
    any_term(build(), logits, labels, members).backward()
    assert logits.grad is not None
    learns = logits.grad.abs().sum(dim=-1) > 0
    assert not learns[:, 1:].any()
    for study in members[:, 0].unique().tolist():
        there = (members[:, 0] == study) & (labels[:, 0] != EMPTY_LABEL)
        assert learns[members[:, 0] == study, 0].sum() == there.any()
        if there.any():
            worst = logits[:, 0].softmax(-1)[:, 2].where(there, -1).argmax()
            assert learns[worst, 0]


@pytest.mark.parametrize("form", ["hard", "soft"])
def test_study_without_labels_has_no_loss(form: str) -> None:
    logits, labels, members = draw(0)
    labels[:, 0] = EMPTY_LABEL
    logits.requires_grad_()
    loss = build(labels=form)
    found = any_term(loss, logits, labels, members)
    assert found == 0
    found.backward()
    assert logits.grad is not None
    assert not logits.grad.any()
    assert form == "soft" or loss.weigh(Labels(labels), members)[-1] == 0


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 999), st.integers(1, 3))
def test_item_shown_again_has_the_mean_of_its_answers(seed: int, times: int) -> None:
    logits, labels, members = draw(seed)
    again = torch.cat([logits] * times)
    again[:, 0] = (again[:, 0].softmax(-1) + 0.1).log()  # unnormalised, so softmax divides
    once = again[: len(logits)]
    more = [torch.cat([each] * times) for each in (labels, members)]
    expected = any_term(build(), once, labels, members)
    torch.testing.assert_close(any_term(build(), again, *more), expected)
    other = torch.cat([logits, logits.flip(-1)])
    mean = torch.stack([logits.softmax(-1), logits.flip(-1).softmax(-1)]).mean(dim=0).log()
    twice = [torch.cat([each] * 2) for each in (labels, members)]
    expected = any_term(build(), mean, labels, members)
    torch.testing.assert_close(any_term(build(), other, *twice), expected)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 999), st.floats(0.5, 0.95))
def test_loss_of_mixed_labels_is_smallest_at_the_labels(seed: int, share: float) -> None:
    _, labels, members = draw(seed)
    shares = as_probabilities_of(labels, 3).double()
    random = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(shares), generator=random)
    mixed = share * shares + (1 - share) * shares[order]
    whole = mixed.sum(dim=-1, keepdim=True).clamp(min=1e-9)
    best = (mixed / whole).clamp(min=1e-9).log().requires_grad_()  # shares of 0 become 1e-9
    found = any_term(build(), best, mixed, members)
    (slope,) = torch.autograd.grad(found, best)
    assert slope.abs().max() < 1e-6
    other = best + torch.randn(best.shape, generator=random)
    assert any_term(build(), other, mixed, members) >= found - 1e-7


@pytest.mark.parametrize("kind", ["cross_entropy", "bce", "focal"])
def test_certain_and_wrong_answers_have_a_finite_loss_and_gradient(kind: str) -> None:
    labels, members = torch.tensor([[2, 0, 0], [0, 0, 0]]), torch.tensor([[1, 0], [2, 0]])
    logits = torch.tensor([[[40.0, 0, -40], [0, 0, 0], [0, 0, 0]]] * 2)
    logits[1, 0] = torch.tensor([-20.0, -20, 20])  # float32 rounds this severe share to 1
    logits.requires_grad_()
    found = any_term(build(kind), logits, labels, members)
    found.backward()
    assert found > 8
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert logits.grad[1, 0].any()


def test_term_without_members_is_refused() -> None:
    logits, labels, _ = draw(0)
    for call in (
        lambda: build()(Outputs(logits), Labels(labels)),
        lambda: build().weigh(Labels(labels)),
    ):
        with pytest.raises(ValueError, match="expected members, got none"):
            call()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 999), st.sampled_from(["hard", "soft"]), st.booleans())
def test_weighted_losses_of_batches_add_up_to_the_loss_of_all_studies(
    seed: int, form: str, findings: bool
) -> None:
    logits, labels, members = draw(seed)
    loss = GradedLoss(
        LossSettings(labels=form),
        class_weights=WEIGHTS,
        findings=HEADS,
        average="findings" if findings else "labels",
        any_worst=AnyWorst(0, 0.7),
    )
    logits.requires_grad_()
    whole = loss(Outputs(logits), Labels(labels), members)
    (expected,) = torch.autograd.grad(whole, logits)
    first = members[:, 0] < 30
    weights = torch.stack(
        [loss.weigh(Labels(labels[own]), members[own]) for own in (first, ~first)]
    )
    shares = weights / weights.sum(dim=0).clamp(min=1e-30)
    added = sum(
        (loss.terms(Outputs(logits[own]), Labels(labels[own]), members[own]) * share).sum()
        for own, share in zip((first, ~first), shares, strict=True)
    )
    torch.testing.assert_close(added, whole, rtol=1e-6, atol=1e-9)
    (found,) = torch.autograd.grad(added, logits)
    # Weights are float32, and a gradient may be a small difference of large terms.
    largest = expected.abs().max().item()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-7 * largest)
