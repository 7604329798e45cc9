"""Labels that are images move with the slices."""

import numpy as np
import pytest

from lsdc.training.augment import PixelAugmentation, change_images
from lsdc.training.samples import Labels, Sample
from lsdc.training.settings.augment import PixelSettings

STILL = {"brightness_contrast": 0.0, "blur": 0.0, "noise": 0.0, "distortion": 0.0, "cutout": 0.0}


def planted(layers: int = 65, size: int = 64) -> Sample:
    """Return a sample whose layers are white where the label is 1; smooth, so that it can move."""
    y, x = np.mgrid[:size, :size]
    truth = (np.hypot(y - 20, x - 40) < 12) | (y > 50)
    slices = np.broadcast_to(truth * np.uint8(255), (layers, size, size)).copy()
    labels = Labels(
        truth[np.newaxis].astype(np.float32), weights=(x < 48)[np.newaxis] * np.float32(1)
    )
    return Sample(slices, np.ones(layers, dtype=bool), labels)


@pytest.mark.parametrize(
    "settings",
    [
        {"shift_scale_rotate": 1.0, "rotate": 180.0, "scale": 0.2},
        {"distortion": 1.0, "distortion_limit": 0.3},
        {"elastic": 1.0, "elastic_px": 3.0, "elastic_sigma": 10.0},
        {"optical": 1.0, "optical_limit": 0.5},
    ],
    ids=["affine", "distortion", "elastic", "optical"],
)
def test_labels_follow_65_layers(settings: dict[str, float]) -> None:
    augment = PixelAugmentation(PixelSettings(**{**STILL, **settings}), per_pixel=True)
    sample, moved = planted(), 0
    for seed in range(6):
        changed = augment(sample, seed)
        assert changed.slices.shape == sample.slices.shape
        assert changed.labels.grades.shape == sample.labels.grades.shape
        white = changed.slices[7] > 127
        # Layers are interpolated, labels are the nearest pixel: they differ at edges alone.
        assert (white != (changed.labels.grades[0] > 0.5)).mean() < 0.03
        moved += (white != (sample.slices[7] > 127)).mean() > 0.02
    assert moved > 3


@pytest.mark.parametrize("kind", ["distortion", "elastic", "optical"])
def test_distortions_are_a_function_of_the_seed(kind: str) -> None:
    augment, sample = (
        PixelAugmentation(PixelSettings(**{**STILL, kind: 1.0}), per_pixel=True),
        planted(2),
    )
    one, other, again = (augment(sample, seed) for seed in (1, 2, 1))
    assert np.array_equal(one.slices, again.slices)
    assert np.array_equal(one.labels.grades, again.labels.grades)
    assert not np.array_equal(one.labels.grades, other.labels.grades)


@pytest.mark.parametrize("px", [1.0, 4.0])
def test_elastic_displacements_have_their_standard_deviation(px: float) -> None:
    ramp = np.broadcast_to(np.arange(128, dtype=np.float32) / 128, (1, 128, 128)).copy()
    sample = planted(1, 128)._replace(slices=ramp)
    settings = PixelSettings(**STILL, elastic=1.0, elastic_px=px, elastic_sigma=6.0)
    augment = PixelAugmentation(settings, per_pixel=True)
    inside = np.s_[..., 20:-20]
    moved = [128 * (augment(sample, seed).slices - ramp)[inside] for seed in range(4)]
    assert np.std(moved) == pytest.approx(px, rel=0.2)


def test_cutout_noise_and_brightness_leave_labels_alone() -> None:
    settings = PixelSettings(
        brightness_contrast=1.0, blur=1.0, noise=1.0, distortion=0.0, cutout=1.0
    )
    sample = planted()
    changed = PixelAugmentation(settings, per_pixel=True)(sample, 1)
    assert not np.array_equal(changed.slices, sample.slices)
    assert np.array_equal(changed.labels.grades, sample.labels.grades)
    assert np.array_equal(changed.labels.weights, sample.labels.weights)


def test_slices_are_augmented_as_without_labels() -> None:
    settings = PixelSettings(shift_scale_rotate=1.0, distortion=1.0, noise=1.0)
    sample = planted(layers=5)
    alone, beside = PixelAugmentation(settings), PixelAugmentation(settings, per_pixel=True)
    assert np.array_equal(alone(sample, 3).slices, beside(sample, 3).slices)


def test_slices_that_change_one_by_one_are_refused() -> None:
    with pytest.raises(ValueError, match="changed alike"):
        PixelAugmentation(PixelSettings(alike="slice"), per_pixel=True)


def test_the_label_of_a_flip_is_the_flipped_label() -> None:
    sample = planted(layers=2)
    flipped = change_images(sample, lambda images: images[..., ::-1])
    assert np.array_equal(flipped.slices, sample.slices[..., ::-1])
    assert np.array_equal(flipped.labels.grades, sample.labels.grades[..., ::-1])
    assert np.array_equal(flipped.labels.weights, sample.labels.weights[..., ::-1])
