"""Auxiliary heads: each view by its own slices, and the annotated slice."""

import math

import pytest
import torch
from torch import Tensor

from lsdc.training.losses.graded import GradedLoss
from lsdc.training.models.auxiliary import View
from lsdc.training.models.model import SliceModel, Task
from lsdc.training.models.outputs import Outputs
from lsdc.training.samples import Labels
from lsdc.training.settings.loss import LossSettings
from lsdc.training.settings.model import ModelSettings

WEIGHTS = (1.0, 2.0, 4.0)
VIEWS = (View((0, 1, 2), (0,)), View((3, 4, 5), (0, 1)))
SHOWN = [head for view in VIEWS for head in view.heads]


def build_model(**settings: object) -> SliceModel:
    torch.manual_seed(0)
    given = {"backbone": "test_efficientnet_ln", "width": 16, "slice_dropout": 0.0, "dropout": 0.0}
    task = Task(
        slices=6,
        shape=(32, 32),
        heads=2,
        classes=3,
        views=VIEWS,
        grades_views=True,
        marked=((0, 1, 2), (3, 4, 5)),
    )
    return SliceModel(ModelSettings.model_validate(given | settings), task, pretrained=False)


def noise(samples: int = 3) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.rand(samples, 6, 32, 32), torch.ones(samples, 6, dtype=torch.bool)


@pytest.mark.parametrize("finding", range(3))
def test_gradient_of_a_view_reaches_its_own_slices_alone(finding: int) -> None:
    slices, present = noise()
    slices.requires_grad_()
    views = build_model()(slices, present).views
    assert views is not None
    assert views.shape == (3, 3, 3)
    views[:, finding].square().sum().backward()
    assert slices.grad is not None
    moved = slices.grad.abs().amax(dim=(0, 2, 3)) > 0
    own = VIEWS[0 if finding == 0 else 1].places
    assert moved.tolist() == [place in own for place in range(6)]


def test_slices_that_are_absent_or_cannot_be_annotated_have_no_share() -> None:
    slices, present = noise()
    present[0, 1] = False
    present[1, :3] = False
    model = build_model().eval()
    shares = model.told(*model.encode(slices, present))
    assert shares is not None
    torch.testing.assert_close(shares.sum(dim=-1), torch.ones(3, 2))
    assert not shares[:, 0, 3:].any()
    assert not shares[:, 1, :3].any()
    assert shares[0, 0, [0, 2]].all()
    assert shares[0, 0, 1] == 0
    assert (
        SliceModel(
            ModelSettings(backbone="test_efficientnet_ln", width=16),
            Task(slices=6, shape=(32, 32), heads=2, classes=3),
            pretrained=False,
        ).told(*model.encode(slices, present))
        is None
    )


def test_told_slices_have_the_cross_entropy_of_their_marks() -> None:
    scores = torch.tensor([[[0.0, 1.0, -torch.inf], [2.0, 0.0, 0.0]]] * 2).requires_grad_()
    marks = torch.tensor([[[0.0, 1.0, 0.0], [0.5, 0.0, 0.5]], [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    labels = Labels(torch.full((2, 2), -100), slices=marks)
    loss = GradedLoss(LossSettings(slice_weight=0.5), class_weights=WEIGHTS)
    terms = loss.terms(Outputs(torch.zeros(2, 2, 3), slices=scores), labels)
    one, other = math.log(1 + math.e), math.log(math.e**2 + 2)
    expected = ((one - 1) + (other - 1.0) + one) / 3
    assert terms[-1].item() == pytest.approx(0.5 * expected, rel=1e-6)
    terms[-1].backward()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()
    assert not scores.grad[1, 1].any()  # not annotated
    assert loss.weigh(labels)[-1] == 3


def test_batch_without_annotations_has_no_term_of_slices() -> None:
    scores = torch.randn(2, 2, 3).requires_grad_()
    labels = Labels(torch.zeros(2, 2, dtype=torch.int64), slices=torch.zeros(2, 2, 3))
    loss = GradedLoss(LossSettings(slice_weight=0.5), class_weights=WEIGHTS)
    terms = loss.terms(Outputs(torch.zeros(2, 2, 3), slices=scores), labels)
    assert terms[-1] == 0
    terms.sum().backward()
    assert scores.grad is not None
    assert not scores.grad.any()


def test_views_have_the_loss_of_the_grades_that_they_show() -> None:
    torch.manual_seed(0)
    views, grades = torch.randn(4, 3, 3), torch.tensor([[0, 2], [1, -100], [2, 2], [0, 1]])
    loss = GradedLoss(LossSettings(view_weight=0.25), class_weights=WEIGHTS, shown=SHOWN)
    terms = loss.terms(Outputs(torch.zeros(4, 2, 3), views=views), Labels(grades))
    alone = GradedLoss(LossSettings(), class_weights=WEIGHTS)
    expected = alone(Outputs(views), Labels(grades[:, SHOWN]))
    torch.testing.assert_close(terms[-1], 0.25 * expected)
    torch.testing.assert_close(
        loss.weigh(Labels(grades))[-1], alone.weigh(Labels(grades[:, SHOWN]))[0]
    )


def blobs(samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return noise (samples, 6, 32, 32), and where a blob is for each of two heads, one-hot."""
    random = torch.Generator().manual_seed(seed)
    slices = 0.35 + 0.06 * torch.randn(samples, 6, 32, 32, generator=random)
    at = torch.randint(3, (samples, 2), generator=random) + torch.tensor([0, 3])
    y, x = torch.meshgrid(torch.arange(32) - 16, torch.arange(32) - 16, indexing="ij")
    for sample, places in enumerate(at.tolist()):
        for place in places:
            slices[sample, place] += 0.5 * (torch.hypot(y.float(), x.float()) < 6)
    return slices.clamp(0, 1), torch.eye(6)[at]


def test_told_attention_finds_the_slice_with_a_planted_blob() -> None:
    model, present = build_model(), torch.ones(16, 6, dtype=torch.bool)
    loss = GradedLoss(LossSettings(slice_weight=1.0), class_weights=WEIGHTS)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(40):
        slices, marks = blobs(16, step)
        nothing = torch.full((16, 2), -100)
        loss(model(slices, present), Labels(nothing, slices=marks)).backward()
        optimiser.step()
        optimiser.zero_grad()
    slices, marks = blobs(64, 1000)
    model.eval()
    with torch.no_grad():
        shares = model.told(*model.encode(slices, torch.ones(64, 6, dtype=torch.bool)))
    assert shares is not None
    assert (shares.argmax(dim=-1) == marks.argmax(dim=-1)).float().mean() > 0.9
