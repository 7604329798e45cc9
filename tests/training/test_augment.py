from dataclasses import asdict

import numpy as np
import pytest

from lsdc.training.augment import PixelAugmentation, PixelProbabilities
from lsdc.training.samples import Sample

ALWAYS = PixelProbabilities(
    shift_scale_rotate=1, brightness_contrast=1, blur=1, noise=1, distortion=1, cutout=1
)
NEVER = PixelProbabilities(**dict.fromkeys(asdict(ALWAYS), 0.0))


def sample_of_equal_slices() -> Sample:
    random = np.random.default_rng(0)
    slices = np.repeat(random.integers(40, 200, (1, 48, 48), dtype=np.uint8), 7, axis=0)
    return Sample(slices, np.ones(7, dtype=bool), np.array([0, 2]))


@pytest.mark.parametrize("change", list(asdict(ALWAYS)))
def test_every_change_happens_to_all_slices_alike(change: str) -> None:
    sample = sample_of_equal_slices()
    augment = PixelAugmentation(PixelProbabilities(**(asdict(NEVER) | {change: 1.0})))
    changed = augment(sample, seed=3).slices
    assert changed.shape == sample.slices.shape
    assert changed.dtype == np.uint8
    assert not np.array_equal(changed, sample.slices)
    assert all(np.array_equal(changed[0], other) for other in changed[1:])


@pytest.mark.parametrize("change", list(asdict(ALWAYS)))
def test_every_change_happens_to_sixteen_bits_as_it_does_to_eight(change: str) -> None:
    sample = sample_of_equal_slices()
    augment = PixelAugmentation(PixelProbabilities(**(asdict(NEVER) | {change: 1.0})))
    eight = augment(sample, seed=3).slices
    fine = augment(sample._replace(slices=sample.slices.astype(np.float32) / 255), seed=3).slices
    assert fine.dtype == np.float32
    assert fine.min() >= 0
    assert fine.max() <= 1
    if change != "noise":  # which is drawn anew for another type
        assert np.abs(255 * fine - eight).mean() < 1.5


def test_change_is_a_function_of_the_seed_whatever_came_before() -> None:
    sample = sample_of_equal_slices()
    used, fresh = PixelAugmentation(ALWAYS), PixelAugmentation(ALWAYS)
    used(sample, seed=1)
    assert np.array_equal(used(sample, seed=2).slices, fresh(sample, seed=2).slices)
    assert not np.array_equal(used(sample, seed=2).slices, fresh(sample, seed=3).slices)


def test_nothing_asked_nothing_changed() -> None:
    sample = sample_of_equal_slices()
    assert np.array_equal(PixelAugmentation(NEVER)(sample, seed=1).slices, sample.slices)
