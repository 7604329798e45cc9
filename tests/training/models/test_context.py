"""Context: planted labels that only another head's slices or another sample can tell."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from lsdc.training.models.auxiliary import View
from lsdc.training.models.model import SliceModel, Task
from lsdc.training.settings.model import ModelSettings

STUDIES, ITEMS = 16, 3
KINDS = pytest.mark.parametrize("kind", ["lstm", "transformer"])
NONE = {
    "backbone": "test_efficientnet_ln",
    "width": 16,
    "head_width": 16,
    "slice_dropout": 0.0,
    "dropout": 0.0,
}


def build_model(**settings: Any) -> SliceModel:
    """Build a model whose two heads see a slice of their own each."""
    torch.manual_seed(0)
    chosen = ModelSettings(**(NONE | {"rnn": "none", "slice_pool": "view_attention"} | settings))
    task = Task(
        slices=2,
        shape=(32, 32),
        heads=2,
        classes=2,
        views=(View((0,), (0,)), View((1,), (1,))),
        items=ITEMS,
    )
    return SliceModel(chosen, task, pretrained=False)


def members_of(studies: int) -> Tensor:
    study, item = torch.arange(studies).repeat_interleave(ITEMS), torch.arange(ITEMS)
    return torch.stack([study, item.repeat(studies)], dim=1)


def accuracy(model: SliceModel, *, by: str) -> float:
    """Train on features whose first number is the class of another head or another sample.

    Head 0's class is that of slice 1 ("head"), or that of slice 0 of the study's next item
    ("study"). Return the share of new samples that head 0 gets right.
    """
    random, optimiser = (
        torch.Generator().manual_seed(0),
        torch.optim.AdamW(model.parameters(), 1e-2),
    )
    members, seen = members_of(STUDIES), torch.ones(STUDIES * ITEMS, 2, dtype=torch.bool)
    model.train()
    for step in range(121):
        features = torch.randn(STUDIES * ITEMS, 2, 16, generator=random)
        of_slices = (features[..., 0] > 0).long()
        by_item = of_slices[:, 0].unflatten(0, (STUDIES, ITEMS))
        truth = of_slices[:, 1] if by == "head" else by_item.roll(-1, dims=1).flatten()
        logits = model.read(features, seen, members).grades[:, 0]
        if step == 120:
            return float((logits.argmax(dim=-1) == truth).float().mean())
        cross_entropy(logits, truth).backward()
        optimiser.step()
        optimiser.zero_grad()
    raise AssertionError


@KINDS
def test_class_of_another_heads_slice_is_learnt_with_context(kind: str) -> None:
    assert accuracy(build_model(head_context=kind), by="head") > 0.85


@KINDS
def test_class_of_another_sample_of_the_study_is_learnt_with_context(kind: str) -> None:
    assert accuracy(build_model(study_context=kind), by="study") > 0.85


@pytest.mark.parametrize("by", ["head", "study"])
def test_neither_is_learnt_without_context(by: str) -> None:
    assert accuracy(build_model(), by=by) < 0.7


@KINDS
def test_context_of_a_study_depends_on_its_own_samples_alone(kind: str) -> None:
    torch.manual_seed(0)
    model = build_model(study_context=kind, head_context=kind).eval()
    features, seen = torch.randn(12, 2, 16), torch.ones(12, 2, dtype=torch.bool)
    members = members_of(4)
    whole = model.read(features, seen, members).grades
    order = torch.randperm(12)
    shuffled = model.read(features[order], seen, members[order]).grades
    torch.testing.assert_close(shuffled, whole[order], rtol=1e-4, atol=1e-5)
    # Study 1 alone, and without its last sample; numbers of studies are only names.
    alone = model.read(features[3:6], seen[:3], members[3:6] + torch.tensor([40, 0])).grades
    torch.testing.assert_close(alone, whole[3:6], rtol=1e-4, atol=1e-5)
    fewer = model.read(features[3:5], seen[:2], members[3:5]).grades
    assert not torch.allclose(fewer, whole[3:5], atol=1e-4)
    longer = [0, 1, 2, 3, 4]  # beside a longer study, the shorter one is padded
    padded = model.read(features[longer], seen[:5], members[longer]).grades
    torch.testing.assert_close(padded[3:], fewer, rtol=1e-4, atol=1e-5)


@KINDS
def test_samples_without_members_are_studies_of_their_own(kind: str) -> None:
    model = build_model(study_context=kind).eval()
    features, seen = torch.randn(3, 2, 16), torch.ones(3, 2, dtype=torch.bool)
    alone = torch.tensor([[5, 0], [6, 0], [7, 0]])
    found = model.read(features, seen).grades
    torch.testing.assert_close(found, model.read(features, seen, alone).grades)
