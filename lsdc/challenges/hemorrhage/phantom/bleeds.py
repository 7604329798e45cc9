"""Which bleeds each study has: subtype, place, size and grade of visibility."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from lsdc.challenges.hemorrhage.phantom.canvas import Point
from lsdc.challenges.hemorrhage.phantom.patient import (
    HALF_HEIGHT_MM,
    HALF_LENGTH_MM,
    HALF_WIDTH_MM,
    MIDDLE_MM,
)
from lsdc.challenges.hemorrhage.vocabulary import SUBTYPES, Label

# Of all studies, and of those that bleed; after the competition's shares of slices.
_BLEEDING_STUDIES = 0.4
_SHARES = {
    Label.EPIDURAL: 0.12,
    Label.INTRAPARENCHYMAL: 0.46,
    Label.INTRAVENTRICULAR: 0.24,
    Label.SUBARACHNOID: 0.38,
    Label.SUBDURAL: 0.38,
}


class Grade(StrEnum):
    """How well a bleed can be seen."""

    CLEAR = "clear"
    MODERATE = "moderate"
    SUBTLE = "subtle"


_GRADES = tuple(Grade)
_GRADE_SHARES = (0.5, 0.33, 0.17)
# HU of the blood and factor of its size.
_HU = {Grade.CLEAR: (66.0, 80.0), Grade.MODERATE: (57.0, 66.0), Grade.SUBTLE: (50.0, 57.0)}
_SIZE = {Grade.CLEAR: (1.0, 1.35), Grade.MODERATE: (0.75, 1.0), Grade.SUBTLE: (0.5, 0.75)}
_CHRONIC_HU = (10.0, 16.0)


@dataclass(frozen=True)
class Bleed:
    """One bleed of a study.

    Attributes:
        subtype: what it is.
        grade: how well it can be seen.
        place: where, in words.
        side: 1 left, -1 right, 0 both sides or the midline.
        centre_mm: its middle in the head's frame.
        size_mm: semi-axes of a haematoma; thickness, length and height of an extra-axial one;
            reach along x, y and z of the others.
        hu: the blood's density.
        push_mm: how far it pushes the midline, to the left if positive.
    """

    subtype: Label
    grade: Grade
    place: str
    side: int
    centre_mm: Point
    size_mm: Point
    hu: float
    push_mm: float = 0.0


def deal_subtypes(studies: int, rng: np.random.Generator) -> list[tuple[Label, ...]]:
    """Deal subtypes to studies: 40 % bleed, each subtype its share, epidural the rarest.

    With two or more studies one bleeds at least, and every subtype is dealt.
    """
    bleeding = max(round(_BLEEDING_STUDIES * studies), int(studies > 1))
    hands: list[set[Label]] = [set() for _ in range(bleeding)]
    if bleeding:
        quotas = {label: max(1, round(share * bleeding)) for label, share in _SHARES.items()}
        # Blood reaches the ventricles from a haematoma or from around the brain.
        quota = quotas.pop(Label.INTRAVENTRICULAR)
        cards = [label for label, count in quotas.items() for _ in range(count)]
        cards += [Label.SUBDURAL] * max(0, bleeding - len(cards))
        for number in rng.permutation(len(cards)):
            _emptiest(hands, cards[number], rng).add(cards[number])
        sources = {Label.INTRAPARENCHYMAL, Label.SUBARACHNOID}
        likely = [number for number, hand in enumerate(hands) if hand & sources]
        for number in rng.permutation(likely)[:quota]:
            hands[number].add(Label.INTRAVENTRICULAR)
    dealt = [tuple(label for label in SUBTYPES if label in hand) for hand in hands]
    dealt += [()] * (studies - bleeding)
    return [dealt[place] for place in rng.permutation(studies)]


def _emptiest(hands: list[set[Label]], label: Label, rng: np.random.Generator) -> set[Label]:
    """Return one of the hands with the fewest subtypes among those without this one."""
    free = [hand for hand in hands if label not in hand]
    fewest = [hand for hand in free if len(hand) == min(map(len, free))]
    return fewest[rng.integers(len(fewest))]


def draw_bleeds(subtypes: tuple[Label, ...], rng: np.random.Generator) -> tuple[Bleed, ...]:
    """Draw one bleed of each subtype, or two of some."""
    bleeds: list[Bleed] = []
    for subtype in subtypes:
        grade = _GRADES[rng.choice(len(_GRADES), p=_GRADE_SHARES)]
        bleeds.append(_DRAW[subtype](grade, rng))
    return tuple(bleeds)


def midline_shift_mm(bleeds: tuple[Bleed, ...]) -> float:
    """Return how far a study's bleeds push the midline together, at most 9 mm."""
    return float(np.clip(sum(bleed.push_mm for bleed in bleeds), -9.0, 9.0))


def _side(rng: np.random.Generator) -> int:
    return 1 if rng.random() < 0.5 else -1


def _on_skull(side: int, azimuth: float, height_mm: float) -> Point:
    """Return the point of the skull's inner side at an azimuth from the ear to the back."""
    up = (height_mm - MIDDLE_MM) / HALF_HEIGHT_MM
    share = float(np.sqrt(1 - up * up))
    x, y = HALF_WIDTH_MM * float(np.cos(azimuth)), HALF_LENGTH_MM * float(np.sin(azimuth))
    return side * share * x, share * y, height_mm


def _hu(grade: Grade, rng: np.random.Generator) -> float:
    return float(rng.uniform(*_HU[grade]))


def _epidural(grade: Grade, rng: np.random.Generator) -> Bleed:
    side, size = _side(rng), rng.uniform(*_SIZE[grade])
    azimuth, height = rng.uniform(-35.0, 35.0), rng.uniform(-5.0, 30.0)
    place = "temporoparietal" if rng.random() < 0.7 else ("frontal" if azimuth < 0 else "occipital")
    if place != "temporoparietal":
        azimuth += 30.0 if azimuth > 0 else -30.0
    # The direction from the brain's middle: 0 to the side, negative to the front.
    angle = np.deg2rad(azimuth)
    centre = _on_skull(side, angle, height)
    thick = 12.5 * size
    return Bleed(
        Label.EPIDURAL, grade, place, side, centre, (thick, 25 * size**0.5, 17 * size**0.5),
        _hu(grade, rng), -side * 0.25 * thick,
    )  # fmt: skip


def _subdural(grade: Grade, rng: np.random.Generator) -> Bleed:
    side, size = _side(rng), float(rng.uniform(*_SIZE[grade]))
    chronic = bool(rng.random() < 0.15) and grade is not Grade.SUBTLE
    hu = float(rng.uniform(*_CHRONIC_HU)) if chronic else _hu(grade, rng)
    if rng.random() < 0.2 and not chronic:
        centre = (0.0, float(rng.uniform(-10, 40)), float(rng.uniform(35, 50)))
        return Bleed(Label.SUBDURAL, grade, "falx", side, centre, (3.6 * size, 52.0, 26.0), hu)
    azimuth, height = np.deg2rad(rng.uniform(-25, 30)), float(rng.uniform(20.0, 38.0))
    centre = _on_skull(side, azimuth, height)
    thick = (11.0 if chronic else 8.5) * size
    return Bleed(
        Label.SUBDURAL, grade, "convexity, chronic" if chronic else "convexity", side, centre,
        (thick, float(rng.uniform(60, 80)), float(rng.uniform(26, 39))), hu, -side * 0.5 * thick,
    )  # fmt: skip


def _subarachnoid(grade: Grade, rng: np.random.Generator) -> Bleed:
    side, size = _side(rng), float(rng.uniform(*_SIZE[grade]))
    hu = float(rng.uniform(*_HU[grade]))
    if rng.random() < 0.5:
        # From a burst aneurysm: the basal cisterns and both sylvian fissures, one side more.
        centre = (side * 8.0, -8.0, -12.0)
        reach = (46.0 * size, 40.0 * size, 26.0 * size)
        return Bleed(Label.SUBARACHNOID, grade, "basal cisterns", 0, centre, reach, hu)
    angle, height = np.deg2rad(rng.uniform(-60, 60)), float(rng.uniform(5.0, 42.0))
    centre = (side * 54 * float(np.cos(angle)), 64 * float(np.sin(angle)), height)
    reach = (34.0 * size, 38.0 * size, 28.0 * size)
    return Bleed(Label.SUBARACHNOID, grade, "sulci", side, centre, reach, hu)


def _intraventricular(grade: Grade, rng: np.random.Generator) -> Bleed:
    hu = _hu(grade, rng)
    if grade is not Grade.SUBTLE and rng.random() < 0.5:
        side = _side(rng)
        centre = (side * 10.0, 5.0, 14.0)
        return Bleed(Label.INTRAVENTRICULAR, grade, "cast", side, centre, (30.0, 75.0, 30.0), hu)
    level = {Grade.CLEAR: 21.0, Grade.MODERATE: 28.0, Grade.SUBTLE: 36.0}[grade]
    level += float(rng.uniform(-3.0, 3.0))
    centre, reach = (0.0, level, 5.0), (50.0, 45.0, 40.0)
    return Bleed(Label.INTRAVENTRICULAR, grade, "occipital horns", 0, centre, reach, hu)


# Middle of each place on the left, and the largest semi-axis there.
_HAEMATOMAS: tuple[tuple[str, float, Point, float], ...] = (
    ("basal ganglia", 0.36, (25.0, -2.0, 5.0), 21.0),
    ("thalamus", 0.12, (12.0, 11.0, 6.0), 12.0),
    ("frontal lobe", 0.14, (27.0, -42.0, 26.0), 22.0),
    ("parietal lobe", 0.12, (32.0, 30.0, 40.0), 21.0),
    ("temporal lobe", 0.12, (42.0, 6.0, -12.0), 15.0),
    ("cerebellum", 0.10, (23.0, 46.0, -36.0), 15.0),
    ("pons", 0.04, (3.0, 9.0, -33.0), 9.0),
)


def _intraparenchymal(grade: Grade, rng: np.random.Generator) -> Bleed:
    side = _side(rng)
    shares = np.array([share for _, share, _, _ in _HAEMATOMAS])
    name, _, middle, largest = _HAEMATOMAS[rng.choice(len(shares), p=shares / shares.sum())]
    jitter = rng.uniform(-3.0, 3.0, 3)
    centre = (side * (middle[0] + jitter[0]), middle[1] + jitter[1], middle[2] + jitter[2])
    size = float(rng.uniform(*_SIZE[grade])) / 1.2 * largest
    half = (size * rng.uniform(0.7, 0.85), size, size * rng.uniform(0.8, 1.0))
    push = 0.0 if name in ("pons", "cerebellum") else -side * 0.2 * max(0.0, size - 6)
    return Bleed(
        Label.INTRAPARENCHYMAL, grade, name, side, _floats(centre), _floats(half), _hu(grade, rng),
        push,
    )  # fmt: skip


def _floats(values: tuple[float, ...]) -> Point:
    x, y, z = (float(value) for value in values)
    return x, y, z


_DRAW = {
    Label.EPIDURAL: _epidural,
    Label.INTRAPARENCHYMAL: _intraparenchymal,
    Label.INTRAVENTRICULAR: _intraventricular,
    Label.SUBARACHNOID: _subarachnoid,
    Label.SUBDURAL: _subdural,
}
