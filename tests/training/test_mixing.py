import numpy as np
import pytest
import torch

from lsdc.training.mixing import Mixing
from lsdc.training.samples import EMPTY_LABEL, Batch, Labels
from lsdc.training.settings.augment import MixSettings
from tests.training.runs import altered

ALWAYS_MIXUP = MixSettings(mixup=1.0, mixup_alpha=0.4, cutmix=0.0, cutmix_alpha=1.0)
ALWAYS_CUTMIX = altered(ALWAYS_MIXUP, mixup=0.0, cutmix=1.0)
WAYS = pytest.mark.parametrize("settings", [ALWAYS_MIXUP, ALWAYS_CUTMIX], ids=["mixup", "cutmix"])


def batch_of_plain_samples() -> Batch:
    """Return samples k with grey 20 k and class k mod 3; some slices and a label are missing."""
    slices = torch.arange(8, dtype=torch.uint8).reshape(8, 1, 1, 1) * 20
    present = torch.ones(8, 4, dtype=torch.bool)
    present[1, 0] = present[2, 3] = False
    labels = torch.stack([torch.arange(8) % 3, torch.arange(8) % 2], dim=1)
    labels[4, 1] = EMPTY_LABEL
    pixels = slices.expand(8, 4, 30, 20).clone()
    return Batch(list(range(8)), pixels, present, Labels(labels, torch.arange(8) % 5))


@WAYS
def test_mixing_is_a_function_of_the_seed(settings: MixSettings) -> None:
    batch, mixing = batch_of_plain_samples(), Mixing(settings, 3, groups=5)
    one, other = mixing(batch, 5), Mixing(settings, 3, groups=5)(batch_of_plain_samples(), 5)
    assert torch.equal(one.slices, other.slices)
    assert torch.equal(one.labels.grades, other.labels.grades)
    assert not torch.equal(one.slices, mixing(batch, 6).slices)
    assert torch.equal(batch.slices, batch_of_plain_samples().slices)


@WAYS
def test_labels_are_mixed_in_the_same_ratio_as_pixels(settings: MixSettings) -> None:
    batch = batch_of_plain_samples()
    batch.present[:] = True
    batch.labels.grades[:] = torch.arange(8).unsqueeze(1)  # eight classes, one per sample
    batch.labels.group[:] = torch.arange(8)
    for seed in range(20):
        mixed = Mixing(settings, 8, groups=8)(batch, seed)
        white = 1 if mixed.slices.is_floating_point() else 255
        brightness = mixed.slices.float().mean(dim=(1, 2, 3)) / white
        expected = mixed.labels.grades[:, 0] @ (torch.arange(8) * 20 / 255)
        torch.testing.assert_close(brightness, expected, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(mixed.labels.grades.sum(dim=-1), torch.ones(8, 2))
        assert (mixed.labels.grades[:, 0].diagonal() >= 0.5).all()
        torch.testing.assert_close(mixed.labels.group, mixed.labels.grades[:, 0])


@WAYS
def test_absent_slices_are_not_mixed(settings: MixSettings) -> None:
    batch = batch_of_plain_samples()
    for seed in range(10):
        mixed = Mixing(settings, 3, groups=5)(batch, seed)
        assert torch.equal(mixed.present, batch.present)
        grey = mixed.slices.float() * (255 if mixed.slices.is_floating_point() else 1)
        lacking = ~batch.present
        torch.testing.assert_close(grey[lacking], batch.slices[lacking].float())


@WAYS
def test_mixed_empty_label_has_only_the_other_samples_share(settings: MixSettings) -> None:
    batch, mixing = batch_of_plain_samples(), Mixing(settings, 3, groups=5)
    sums = torch.stack([mixing(batch, seed).labels.grades.sum(dim=-1) for seed in range(30)])
    torch.testing.assert_close(sums[:, :, 0], torch.ones(30, 8))
    assert (sums[:, 4, 1] <= 0.5 + 1e-6).all()
    assert (sums[:, 4, 1] > 0).any()
    assert (sums[:, :, 1].min(dim=1).values >= 0).all()


@WAYS
def test_marks_are_mixed_like_labels_but_not_into_absent_slices(settings: MixSettings) -> None:
    batch, mixing = batch_of_plain_samples(), Mixing(settings, 8, groups=5)
    batch.labels.grades[:] = torch.arange(8).unsqueeze(1)  # eight classes, one per sample
    marks = torch.zeros(8, 2, 4)
    marks[torch.arange(8), 0, torch.arange(8) % 4] = 1  # the second head's are not known
    marks = marks * batch.present.unsqueeze(1)
    batch = batch._replace(labels=batch.labels._replace(slices=marks))
    for seed in range(10):
        mixed = mixing(batch, seed).labels
        assert mixed.slices is not None
        expected = torch.einsum("bk,ks->bs", mixed.grades[:, 0], marks[:, 0]) * batch.present
        torch.testing.assert_close(mixed.slices[:, 0], expected)
        assert not mixed.slices[:, 1].any()


def test_cutmix_pastes_the_same_box_in_all_slices() -> None:
    batch = batch_of_plain_samples()
    batch.present[:] = True
    mixed = Mixing(ALWAYS_CUTMIX, 3, groups=5)(batch, 3).slices
    changed = (mixed != batch.slices)[mixed.ne(batch.slices).any(-1).any(-1).any(-1)]
    assert changed.any()
    assert all(torch.equal(changed[0, 0], box) for sample in changed for box in sample)
    rows, columns = np.nonzero(changed[0, 0].numpy())
    assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)


def test_mixup_and_cutmix_occur_with_their_probabilities() -> None:
    batch = batch_of_plain_samples()
    mixing = Mixing(
        MixSettings(mixup=0.3, mixup_alpha=0.4, cutmix=0.5, cutmix_alpha=1.0), 3, groups=5
    )
    ways = []
    for seed in range(200):
        mixed = mixing(batch, seed)
        if mixed is batch:
            ways.append("none")
        else:
            ways.append("mixup" if mixed.slices.is_floating_point() else "cutmix")
    assert abs(ways.count("mixup") - 60) < 25
    assert abs(ways.count("cutmix") - 100) < 28
