import numpy as np
import pytest
import torch

from lsdc.training.mixing import Half, HalfMixing, Mixing
from lsdc.training.models.blend import Blend
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


def test_ways_of_mixing_occur_with_their_probabilities() -> None:
    batch = batch_of_plain_samples()
    settings = MixSettings(mixup=0.3, mixup_alpha=0.4, cutmix=0.5, manifold_mixup=0.1)
    mixing = Mixing(settings, 3, groups=5)
    ways = []
    for seed in range(200):
        mixed = mixing(batch, seed)
        if mixed is batch:
            ways.append("none")
        elif mixed.blend is not None:
            ways.append("manifold")
        else:
            ways.append("mixup" if mixed.slices.is_floating_point() else "cutmix")
    assert abs(ways.count("mixup") - 60) < 25
    assert abs(ways.count("cutmix") - 100) < 28
    assert abs(ways.count("manifold") - 20) < 14


def halves() -> list[Half]:
    """Return the halves of four slices: the first two and the last but one, split in the middle.

    Of three heads, one rests on all slices, one on slice 0, one on the first half of slice 2.
    """
    left = torch.arange(20) < 10
    full, none = torch.ones(20, dtype=torch.bool), torch.zeros(20, dtype=torch.bool)
    columns = torch.stack([full, none, left, none])
    rests_on = torch.tensor([[1.0, 1, 1, 1], [1, 0, 0, 0], [0, 0, 1, 0]])
    first = torch.tensor([[1.0, 0, 0.5, 0], [1, 0, 0, 0], [0, 0, 1, 0]])
    return [Half(columns, rests_on, first)]


def batch_of_three_heads() -> Batch:
    batch = batch_of_plain_samples()
    return batch._replace(labels=Labels(torch.arange(8).unsqueeze(1).repeat(1, 3)))


def test_exchanged_half_comes_from_one_other_sample_with_its_labels() -> None:
    batch = batch_of_three_heads()
    mixing = Mixing(MixSettings(), 8, halves=HalfMixing(cutmix=1.0, mixup=0.0, halves=halves()))
    mixed = mixing(batch, 3)
    assert mixed.slices.dtype == torch.uint8
    assert torch.equal(mixed.present, batch.present)
    other = mixed.labels.grades[:, 2].argmax(dim=-1)  # wholly in the half, slice 2 is never absent
    assert sorted(other.tolist()) == list(range(8))
    assert (other != torch.arange(8)).any()
    for sample, source in enumerate(other.tolist()):
        both = batch.present[sample] & batch.present[source]
        grey = mixed.slices[sample].float().mean(dim=1) / 20  # (s, w): the numbers of the samples
        own, its = torch.full((20,), float(sample)), torch.full((20,), float(source))
        expected = [
            its if both[0] else own,
            own,
            torch.where(torch.arange(20) < 10, its, own),
            own,
        ]
        torch.testing.assert_close(grey, torch.stack(expected))
        taken = {0: (both[0] + 0.5) / batch.present[sample].sum(), 1: float(both[0]), 2: 1.0}
        if not batch.present[sample, 0]:
            taken[1] = 0.0
        for head, share in taken.items():
            wanted = torch.zeros(8)
            wanted[source] += share
            wanted[sample] += 1 - share
            torch.testing.assert_close(mixed.labels.grades[sample, head], wanted)


def test_blended_half_keeps_the_larger_share_of_itself() -> None:
    batch = batch_of_three_heads()
    mixing = Mixing(MixSettings(), 8, halves=HalfMixing(cutmix=0.0, mixup=1.0, halves=halves()))
    for seed in range(10):
        mixed = mixing(batch, seed)
        shares = mixed.labels.grades[:, 2]
        assert (shares.diagonal() >= 0.5).all()
        grey = mixed.slices[:, 2, 0] * 255 / 20  # (b, w) the blended numbers of the samples
        torch.testing.assert_close(grey[:, 0], shares @ torch.arange(8.0), atol=1e-4, rtol=0)
        torch.testing.assert_close(grey[:, -1], torch.arange(8.0), atol=1e-4, rtol=0)


def test_manifold_mixup_leaves_pixels_to_the_model_and_mixes_labels() -> None:
    batch = batch_of_three_heads()
    mixing = Mixing(MixSettings(manifold_mixup=1.0, mixup_alpha=0.4), 8)
    mixed = mixing(batch, 4)
    assert mixed.slices is batch.slices
    assert mixed.blend is not None
    other, own_share = mixed.blend
    assert 0.5 <= own_share < 1
    labels = torch.eye(8)
    expected = own_share * labels + (1 - own_share) * labels[other]
    torch.testing.assert_close(mixed.labels.grades, expected.unsqueeze(1).expand(-1, 3, -1))
    again = mixing(batch, 4).blend
    assert again is not None
    assert again.own_share == own_share


def test_features_are_blended_where_both_samples_have_a_slice() -> None:
    features = torch.randn(3, 2, 5)
    seen = torch.tensor([[True, True], [True, False], [True, True]])
    found = Blend(torch.tensor([1, 2, 0]), 0.75).of(features, seen)
    expected = 0.75 * features + 0.25 * features[[1, 2, 0]]
    torch.testing.assert_close(found[:, 0], expected[:, 0])
    torch.testing.assert_close(found[:2, 1], features[:2, 1])  # 1 lacks it: 0 and 1 stay
    torch.testing.assert_close(found[2, 1], expected[2, 1])
