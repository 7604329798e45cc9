import numpy as np
import pytest

from lsdc.training.augment import PixelAugmentation, shift_slices, shuffle_slices
from lsdc.training.samples import Labels, Sample
from lsdc.training.settings.augment import PixelSettings
from tests.training.runs import altered

CHANGES = (
    *("shift_scale_rotate", "brightness_contrast", "blur", "noise"),
    *("distortion", "elastic", "optical", "cutout"),
)
NEVER = PixelSettings(**dict.fromkeys(CHANGES, 0.0))
ALWAYS = PixelSettings(**dict.fromkeys(CHANGES, 1.0))

each_change = pytest.mark.parametrize("change", CHANGES)


def sample_of_equal_slices() -> Sample:
    random = np.random.default_rng(0)
    slices = np.repeat(random.integers(40, 200, (1, 48, 48), dtype=np.uint8), 7, axis=0)
    return Sample(slices, np.ones(7, dtype=bool), Labels(np.array([0, 2])))


@each_change
def test_every_augmentation_is_equal_in_all_slices(change: str) -> None:
    sample = sample_of_equal_slices()
    augment = PixelAugmentation(altered(NEVER, **{change: 1.0}))
    changed = augment(sample, seed=3).slices
    assert changed.shape == sample.slices.shape
    assert changed.dtype == np.uint8
    assert not np.array_equal(changed, sample.slices)
    assert all(np.array_equal(changed[0], other) for other in changed[1:])


@each_change
def test_every_augmentation_is_equal_for_16_and_8_bits(change: str) -> None:
    sample = sample_of_equal_slices()
    augment = PixelAugmentation(altered(NEVER, **{change: 1.0}))
    eight = augment(sample, seed=3).slices
    fine = augment(sample._replace(slices=sample.slices.astype(np.float32) / 255), seed=3).slices
    assert fine.dtype == np.float32
    assert fine.min() >= 0
    assert fine.max() <= 1
    if change != "noise":  # noise is drawn again for another type
        assert np.abs(255 * fine - eight).mean() < 1.5


def test_augmentation_is_a_function_of_the_seed_only() -> None:
    sample = sample_of_equal_slices()
    used, fresh = PixelAugmentation(ALWAYS), PixelAugmentation(ALWAYS)
    used(sample, seed=1)
    assert np.array_equal(used(sample, seed=2).slices, fresh(sample, seed=2).slices)
    assert not np.array_equal(used(sample, seed=2).slices, fresh(sample, seed=3).slices)


def test_samples_do_not_change_with_all_probabilities_zero() -> None:
    sample = sample_of_equal_slices()
    assert np.array_equal(PixelAugmentation(NEVER)(sample, seed=1).slices, sample.slices)


@each_change
def test_every_augmentation_differs_between_slices_on_request(change: str) -> None:
    sample = sample_of_equal_slices()
    augment = PixelAugmentation(altered(NEVER, alike="slice", **{change: 1.0}))
    changed = augment(sample, seed=3).slices
    assert changed.shape == sample.slices.shape
    assert len({slice_.tobytes() for slice_ in changed}) > 4
    assert np.array_equal(changed, augment(sample, seed=3).slices)


def test_noise_and_cutout_have_the_configured_size() -> None:
    grey = Sample(
        np.full((2, 100, 100), 0.5, dtype=np.float32), np.ones(2, bool), Labels(np.zeros(1))
    )
    for std in (0.02, 0.1):
        noise = PixelAugmentation(altered(NEVER, noise=1.0, noise_std=(std, std)))
        assert abs(noise(grey, seed=1).slices.std() - std) < 0.1 * std
    cutout = altered(NEVER, cutout=1.0, cutout_holes=(2, 2), cutout_size=(0.2, 0.2))
    dark = [(PixelAugmentation(cutout)(grey, seed).slices[0] == 0).sum() for seed in range(20)]
    assert max(dark) == 2 * 20 * 20
    assert min(dark) >= 20 * 20


def numbered(present: list[bool]) -> Sample:
    count = len(present)
    slices = np.arange(1, count + 1, dtype=np.uint8).reshape(count, 1, 1) * np.ones((1, 4, 4))
    return Sample(slices.astype(np.uint8), np.array(present), Labels(np.zeros(1, dtype=np.int64)))


PARTS = ((0, 1, 2), (3, 5), (4,))


def test_shifted_slices_stay_in_their_part_and_leave_gaps() -> None:
    sample = numbered([True, False, True, True, True, True])
    on = shift_slices(sample, PARTS, places=1)
    assert on.slices[:, 0, 0].tolist() == [0, 1, 2, 0, 5, 4]
    assert on.present.tolist() == [False, True, False, False, True, True]
    back = shift_slices(sample, PARTS, places=-1)
    assert back.slices[:, 0, 0].tolist() == [2, 3, 0, 6, 5, 0]
    assert back.present.tolist() == [False, True, False, True, True, False]
    assert sample.slices[:, 0, 0].tolist() == [1, 2, 3, 4, 5, 6]


def test_shuffled_slices_stay_in_their_part_with_their_mask() -> None:
    sample = numbered([True, False, True, True, True, False])
    orders = set()
    for seed in range(30):
        shuffled = shuffle_slices(sample, PARTS, np.random.default_rng(seed))
        values = shuffled.slices[:, 0, 0]
        orders.add(tuple(values.tolist()))
        assert sorted(values[:3]) == [1, 2, 3]
        assert values[4] == 5
        assert np.array_equal(shuffled.present, sample.present[values - 1])
    assert len(orders) == 12


@pytest.mark.parametrize(
    ("scale", "magnify", "smallest", "largest"),
    [
        (0.0, 0.4, 1.0, 1.4),
        (0.2, None, 0.8, 1.2),
    ],
)
def test_magnification_may_differ_from_the_change_of_scale(
    scale: float, magnify: float | None, smallest: float, largest: float
) -> None:
    y, x = np.mgrid[:96, :96] - 47.5
    disc = (255 * (np.hypot(y, x) < 24)).astype(np.uint8)[np.newaxis]
    sample = Sample(disc, np.ones(1, bool), Labels(np.zeros(1)))
    settings = {"shift_scale_rotate": 1.0, "shift": 0.0, "scale": scale, "magnify": magnify}
    augment = PixelAugmentation(altered(NEVER, **settings))
    areas = [float(augment(sample, seed=seed).slices.sum()) / disc.sum() for seed in range(60)]
    factors = np.sqrt(areas)
    assert smallest - 0.02 < factors.min() < smallest + 0.08
    assert largest - 0.08 < factors.max() < largest + 0.02
