"""Mixing of samples whose labels are images."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, binary_cross_entropy_with_logits

from lsdc.training.mixing import Mixing
from lsdc.training.samples import Batch, Labels
from lsdc.training.settings.augment import MixSettings

pytestmark = pytest.mark.usefixtures("one_thread")

STRIDE = 4


def mixing(**settings: float) -> Mixing:
    return Mixing(MixSettings(**settings), classes=1, per_pixel=True)


def planted() -> Batch:
    """Return samples whose label is known from their pixels: white where it is 1."""
    chance = np.random.default_rng(0)
    truth = torch.from_numpy(chance.integers(0, 2, (6, 1, 32, 32))).float()
    slices = (truth * 255).to(torch.uint8).expand(6, 3, 32, 32).clone()
    grades = avg_pool2d(truth, STRIDE)
    present = torch.ones(6, 3, dtype=torch.bool)
    return Batch(list(range(6)), slices, present, Labels(grades, weights=torch.ones_like(grades)))


def reduced(slices: Tensor) -> Tensor:
    """Return the label that the pixels show."""
    shares = slices[:, :1].float() / (1 if slices.is_floating_point() else 255)
    return avg_pool2d(shares, STRIDE)


@pytest.mark.parametrize("way", ["mixup", "cutmix"])
def test_labels_show_what_the_mixed_pixels_show(way: str) -> None:
    batch, changed = planted(), 0
    for seed in range(12):
        mixed = mixing(**{way: 1.0})(batch, seed)
        torch.testing.assert_close(mixed.labels.grades, reduced(mixed.slices))
        changed += not torch.equal(mixed.labels.grades, batch.labels.grades)
    assert changed > 8


def test_cutmix_pastes_the_weights_too() -> None:
    batch = planted()
    weights = torch.arange(6.0).view(6, 1, 1, 1).expand_as(batch.labels.grades)
    batch = batch._replace(labels=batch.labels._replace(weights=weights))
    mixed = mixing(cutmix=1.0)(batch, 3)
    pasted = mixed.labels.weights != weights
    assert pasted.any()
    assert not pasted.all()
    assert set(mixed.labels.weights.unique().tolist()) <= set(range(6))
    torch.testing.assert_close(
        torch.where(mixed.labels.weights > 0, reduced(mixed.slices), 0.0), mixed.labels.grades
    )


def test_the_cross_entropy_of_a_blend_is_the_blend_of_cross_entropies() -> None:
    batch = planted()
    weights = torch.rand(batch.labels.grades.shape, generator=torch.Generator().manual_seed(0))
    weights[:, :, :3] = 0
    batch = batch._replace(labels=batch.labels._replace(weights=weights))
    mixed = mixing(manifold_mixup=1.0)(batch, 2)
    assert mixed.blend is not None
    other, own = mixed.blend.other, mixed.blend.own_share
    logits = torch.randn(weights.shape, generator=torch.Generator().manual_seed(1))

    def total(labels: Labels[Tensor]) -> Tensor:
        losses = binary_cross_entropy_with_logits(logits, labels.grades, reduction="none")
        assert labels.weights is not None
        return (losses * labels.weights).sum()

    others = batch.labels.map(lambda each: each[other])
    expected = own * total(batch.labels) + (1 - own) * total(others)
    torch.testing.assert_close(total(mixed.labels), expected)
    assert torch.equal(mixed.slices, batch.slices)  # the model blends its features


def test_ways_are_drawn_in_their_shares() -> None:
    batch, mix = planted(), mixing(mixup=0.25, cutmix=0.25, manifold_mixup=0.25)
    counts = dict.fromkeys(("mixup", "cutmix", "manifold", "none"), 0)
    for seed in range(200):
        mixed = mix(batch, seed)
        if mixed.blend is not None:
            counts["manifold"] += 1
        elif mixed.slices.is_floating_point():
            counts["mixup"] += 1
        else:
            counts["none" if mixed is batch else "cutmix"] += 1
    assert all(30 <= count <= 70 for count in counts.values())
