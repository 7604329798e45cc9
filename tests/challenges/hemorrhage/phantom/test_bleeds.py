"""Each subtype lies where it should, looks as it should, and can be told from the others."""

from collections import Counter
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from lsdc.challenges.hemorrhage.phantom.bleeds import (
    Bleed,
    Grade,
    deal_subtypes,
    draw_bleeds,
    midline_shift_mm,
)
from lsdc.challenges.hemorrhage.phantom.image import Scene
from lsdc.challenges.hemorrhage.phantom.visibility import find, labels
from lsdc.challenges.hemorrhage.vocabulary import SUBTYPES, Label
from tests.challenges.hemorrhage.phantom.scenes import (
    COUNT,
    PATIENT,
    SPACING_MM,
    STACK,
    STRAIGHT,
    blood,
    depth_mm,
    drawn,
    frame_mm,
    render,
    shown_on,
    slice_at,
)

NOISE_HU = 3.0
ANGLES = 36


def convex(seed: int) -> Bleed:
    """Draw a clear acute subdural bleed over the convexity."""
    while True:
        bleed = drawn(Label.SUBDURAL, seed, Grade.CLEAR)
        if bleed.place == "convexity":
            return bleed
        seed += 100


def layers(bleed: Bleed) -> dict[float, float]:
    """Return the depth of blood under the skull by direction in the slice of its middle, mm."""
    number = slice_at(bleed.centre_mm[2])
    mask = blood(bleed, number)
    x, y, _ = frame_mm(number)
    angle = np.round(np.arctan2(y, x) * ANGLES / (2 * np.pi)).astype(int)
    depth = depth_mm(number)
    return {
        float(step): float(depth[mask & (angle == step)].max()) for step in np.unique(angle[mask])
    }


@pytest.mark.parametrize("seed", range(3))
def test_subdural_blood_lies_along_the_skull_on_one_side_of_the_midline(seed: int) -> None:
    bleed = convex(seed)
    for number in shown_on(bleed)[::3]:
        mask = blood(bleed, number)
        x, _, _ = frame_mm(number)
        assert (x[mask] * bleed.side > 0).all()
        # Nowhere deeper than its thickness and a pixel, and it reaches the skull.
        depth = depth_mm(number)[mask]
        assert depth.max() < 1.4 * bleed.size_mm[0] + SPACING_MM
        assert depth.min() < 2.5


def test_subdural_blood_is_longer_and_thinner_than_epidural_blood() -> None:
    crescent, lens = layers(convex(0)), layers(drawn(Label.EPIDURAL, 0, Grade.CLEAR))
    assert len(crescent) > 1.5 * len(lens)
    assert max(lens.values()) > 1.15 * max(crescent.values())


@pytest.mark.parametrize("seed", range(3))
def test_epidural_blood_is_thickest_in_its_middle(seed: int) -> None:
    depths = list(layers(drawn(Label.EPIDURAL, seed, Grade.CLEAR)).values())
    bleed = drawn(Label.EPIDURAL, seed, Grade.CLEAR)
    assert max(depths) == pytest.approx(bleed.size_mm[0], abs=2.5)
    number = slice_at(bleed.centre_mm[2])
    mask = blood(bleed, number)
    x, y, _ = frame_mm(number)
    away = np.sqrt((x - bleed.centre_mm[0]) ** 2 + (y - bleed.centre_mm[1]) ** 2)
    depth = depth_mm(number)
    near, far = mask & (away < 12), mask & (away > 0.8 * bleed.size_mm[1])
    assert depth[near].max() > 8
    assert not far.any() or depth[far].max() < 0.6 * depth[near].max()


@pytest.mark.parametrize("seed", range(3))
def test_intraventricular_blood_replaces_only_the_ventricles_fluid(seed: int) -> None:
    bleed = drawn(Label.INTRAVENTRICULAR, seed)
    shown = shown_on(bleed)
    assert shown
    large = [number for number in shown if blood(bleed, number).sum() > 40]
    assert large
    for number in large[::2]:
        before = render((), number).hu[blood(bleed, number)]
        assert np.median(before) < 14
        # Some pixels are partly brain, and the choroid plexus is calcified.
        assert ((before < 26) | (before > 50)).mean() > 0.8


def test_blood_with_a_level_lies_at_the_back_of_the_ventricles() -> None:
    bleed = next(
        bleed
        for bleed in (drawn(Label.INTRAVENTRICULAR, seed, Grade.MODERATE) for seed in range(9))
        if bleed.place == "occipital horns"
    )
    for number in shown_on(bleed):
        _, y, _ = frame_mm(number)
        assert y[blood(bleed, number)].min() > bleed.centre_mm[1] - SPACING_MM


@pytest.mark.parametrize("seed", range(3))
def test_subarachnoid_blood_replaces_fluid_around_the_brain(seed: int) -> None:
    bleed = drawn(Label.SUBARACHNOID, seed, Grade.CLEAR)
    cover = [render((bleed,), number).cover.get(bleed.subtype) for number in range(25)]
    numbers = [number for number, share in enumerate(cover) if share is not None]
    for number in numbers[::3]:
        share = cover[number]
        assert share is not None
        before = render((), number).hu
        # The more blood, the more fluid was there.
        mask = share > 0.6
        if mask.sum() > 5:
            assert np.median(before[mask]) < 20


@pytest.mark.parametrize("seed", range(4))
def test_haematomas_lie_in_the_brain_with_a_dark_rim(seed: int) -> None:
    bleed = drawn(Label.INTRAPARENCHYMAL, seed, Grade.CLEAR)
    number = slice_at(bleed.centre_mm[2])
    mask = blood(bleed, number)
    assert (depth_mm(number)[mask] > 1).all()
    after = render((bleed,), number).hu
    assert np.median(after[mask]) == pytest.approx(bleed.hu, abs=6)
    x, y, _ = frame_mm(number)
    away = np.sqrt((x - bleed.centre_mm[0]) ** 2 + (y - bleed.centre_mm[1]) ** 2)
    without = render((), number).hu
    rim = (away < bleed.size_mm[1] + 8) & (after < without - 5) & ~mask
    assert rim.sum() * SPACING_MM**2 > 20


def test_subtypes_of_one_head_share_no_pixels() -> None:
    bleeds = tuple(
        convex(3) if subtype is Label.SUBDURAL else drawn(subtype, 3, Grade.CLEAR)
        for subtype in SUBTYPES
    )
    together = 0
    for number in range(6, 22):
        cover = render(bleeds, number).cover
        together += len(cover)
        for first, second in combinations(cover.values(), 2):
            assert not ((first > 0.6) & (second > 0.6)).any()
    assert together > 20


def test_a_mass_pushes_the_ventricles_to_the_other_side() -> None:
    bleed = convex(1)
    assert midline_shift_mm((bleed,)) * bleed.side < -2
    number = slice_at(14.0)
    x, y, _ = frame_mm(number)
    middle = (np.abs(x) < 25) & (np.abs(y) < 40) & (depth_mm(number) > 20)
    fluid = [(render(bleeds, number).hu < 18) & middle for bleeds in ((), (bleed,))]
    before, after = (float(x[mask].mean()) for mask in fluid)
    assert (after - before) * bleed.side < -1.5


def test_thick_slices_take_contrast_from_thin_layers() -> None:
    bleed = replace(convex(0), size_mm=(3.0, 70.0, 48.0))
    highest = []
    for thickness_mm in (1.0, 10.0):
        stack = replace(STACK, thicknesses_mm=np.full(COUNT, thickness_mm))
        # The skull slopes there, so that a thick slice shows bone, blood and brain together.
        shown = Scene(PATIENT, (bleed,), STRAIGHT, stack).render(slice_at(60.0))
        highest.append(float(np.quantile(shown.contrast[bleed.subtype], 0.998)))
    assert highest[1] < 0.7 * highest[0]


def test_subtler_grades_are_less_visible() -> None:
    areas = {
        grade: np.median(
            [
                sum(
                    find(render((bleed,), number), NOISE_HU, SPACING_MM**2).measures[4, 1]
                    for number in range(12, 24, 3)
                )
                for bleed in (drawn(Label.SUBDURAL, seed, grade) for seed in range(3))
            ]
        )
        for grade in (Grade.CLEAR, Grade.SUBTLE)
    }
    assert areas[Grade.SUBTLE] < areas[Grade.CLEAR]


def test_an_image_is_positive_only_if_enough_of_the_blood_is_visible() -> None:
    bleed = drawn(Label.INTRAPARENCHYMAL, 0, Grade.CLEAR)
    shown = render((bleed,), slice_at(bleed.centre_mm[2]))
    clear, noisy = (
        find(shown, noise, SPACING_MM**2).measures[None] for noise in (NOISE_HU, 100 * NOISE_HU)
    )
    assert labels(clear).tolist() == [[0, 1, 0, 0, 0, 1]]
    assert labels(noisy).tolist() == [[0, 0, 0, 0, 0, 0]]
    small = find(shown, NOISE_HU, 0.001).measures[None]
    assert labels(small).tolist() == [[0, 0, 0, 0, 0, 0]]


def test_four_in_ten_studies_bleed_and_epidural_blood_is_rarest() -> None:
    dealt = deal_subtypes(500, np.random.default_rng(0))
    assert sum(bool(hand) for hand in dealt) == 200
    counts = Counter(label for hand in dealt for label in hand)
    assert min(counts, key=counts.__getitem__) is Label.EPIDURAL
    assert len({hand for hand in dealt if len(hand) > 1}) > 5  # combinations
    for hand in dealt:
        if Label.INTRAVENTRICULAR in hand:
            assert {Label.INTRAPARENCHYMAL, Label.SUBARACHNOID} & set(hand)


@pytest.mark.parametrize("studies", [2, 13])
def test_few_studies_still_have_every_subtype(studies: int) -> None:
    dealt = deal_subtypes(studies, np.random.default_rng(1))
    assert {label for hand in dealt for label in hand} == set(SUBTYPES)


def test_without_subtypes_nothing_bleeds() -> None:
    assert draw_bleeds((), np.random.default_rng(0)) == ()
    assert render((), 12).cover == {}
