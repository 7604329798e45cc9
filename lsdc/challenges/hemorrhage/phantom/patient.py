"""One patient's build, and the shape of the head: skull, base and skin."""

from dataclasses import dataclass

import numpy as np

from lsdc.challenges.hemorrhage.phantom.canvas import Field, Grid
from lsdc.challenges.hemorrhage.phantom.waves import Waves

# Semi-axes of the skull's cavity, and its middle's height.
HALF_WIDTH_MM, HALF_LENGTH_MM, HALF_HEIGHT_MM, MIDDLE_MM = 64.0, 79.0, 75.0, 3.0
VERTEX_MM = MIDDLE_MM + HALF_HEIGHT_MM
_NARROWER_FRONT = 0.085
_PLATEAU_MM = -17.0  # the base's height beside its basins
_SMALL = np.float32(1e-3)


@dataclass(frozen=True)
class Patient:
    """One patient's build.

    Attributes:
        scale: the head's size in ordinary ones.
        skull: factor of the skull's thickness.
        scalp_mm: thickness of the scalp.
        atrophy: 0 a tight young brain, 1 wide sulci and ventricles.
        ventricles: factors of the lateral ventricles' width, left and right.
        calcified: factors of the pineal gland's and the choroid plexus' calcifications.
        ganglia_calcified: whether the basal ganglia are calcified too.
        enhanced: whether vessels are bright with contrast medium.
        coarse, folds, fine: smooth noise, see `Canvas`.
    """

    scale: float
    skull: float
    scalp_mm: float
    atrophy: float
    ventricles: tuple[float, float]
    calcified: tuple[float, float]
    ganglia_calcified: bool
    enhanced: bool
    coarse: Waves
    folds: Waves
    fine: Waves


def draw_patient(rng: np.random.Generator) -> Patient:
    """Draw a random patient without bleeding."""
    atrophy = float(rng.beta(1.6, 1.8))
    width = 0.7 + 0.55 * atrophy
    left, right = width * rng.normal(1.0, 0.07, 2)
    pineal, choroid = rng.uniform(0.0, 1.25, 2)
    return Patient(
        scale=float(np.clip(rng.normal(0.99, 0.03), 0.92, 1.05)),
        skull=float(rng.uniform(0.9, 1.25)),
        scalp_mm=float(rng.uniform(3.5, 7.0)),
        atrophy=atrophy,
        ventricles=(float(left), float(right)),
        calcified=(float(pineal), float(choroid)),
        ganglia_calcified=bool(rng.random() < 0.12),
        enhanced=bool(rng.random() < 0.1),
        coarse=Waves.draw(8, (45.0, 90.0), rng),
        folds=Waves.draw(14, (14.0, 22.0), rng),
        fine=Waves.draw(10, (5.0, 9.0), rng),
    )


@dataclass(frozen=True)
class Shape:
    """Smooth fields of the head on a grid, see `Canvas`."""

    depth: Field
    floor: Field
    skin: Field
    coarse: Field


def shape_of(patient: Patient, grid: Grid) -> Shape:
    """Return the head's shape on a grid."""
    x, y, z = (grid.coordinates(axis) for axis in range(3))
    coarse = patient.coarse.on(grid)
    depth = _depth(x, y, z) + np.float32(0.9) * coarse
    outer = depth + thickness_mm(patient, x, y, z, coarse) + np.float32(patient.scalp_mm)
    # Ellipsoids for the face and the neck, joined with the skull's by the deepest.
    face = _ellipsoid(x, y, z, (0.0, -36.0, -62.0), (61.0, 58.0, 72.0))
    neck = _ellipsoid(x, y, z, (0.0, 30.0, -100.0), (58.0, 54.0, 72.0))
    between = _ellipsoid(x, y, z, (0.0, -2.0, -95.0), (57.0, 62.0, 66.0))
    nose = _ellipsoid(x, y, z, (0.0, -88.0, -58.0), (11.0, 20.0, 20.0))
    skin = np.maximum(
        np.maximum(outer, nose), np.maximum(np.maximum(neck, between), face + 1.5 * coarse)
    )
    return Shape(depth, z - floor_mm(x, y), skin, coarse)


def thickness_mm(patient: Patient, x: Field, y: Field, z: Field, coarse: Field) -> Field:
    """Return the skull's thickness: thin at the temples, thick at forehead and occiput."""
    wide = np.square(x * np.float32(1 / HALF_WIDTH_MM))
    long = np.square(y * np.float32(1 / HALF_LENGTH_MM))
    temple = wide / (wide + long + _SMALL) * np.clip((30.0 - z) * np.float32(1 / 45), 0.0, 1.0)
    thickness = 7.6 - 3.2 * temple + 0.5 * coarse
    inion = np.square(x * np.float32(1 / 13)) + np.square((z + 8) * np.float32(1 / 13))
    thickness += 4.0 * np.square(np.clip(1 - inion * np.float32(0.4), 0.0, 1.0)) * (y > 0)
    return np.asarray(thickness * np.float32(patient.skull))


def floor_mm(x: Field, y: Field) -> Field:
    """Return the height of the skull's base: a plateau with the middle and posterior basins."""
    # Beside the cavity, the base continues as at its edge.
    away = np.sqrt(np.square(x * np.float32(1 / 58)) + np.square(y * np.float32(1 / 72)))
    inwards = 1 / np.maximum(away, 1.0)
    x, y = np.abs(x * inwards), y * inwards
    # The middle basin is turned: its front is nearer to the midline.
    u, v = 0.94 * (x - 37) + 0.34 * (y + 9), -0.34 * (x - 37) + 0.94 * (y + 9)
    middle = np.square(u / 25) + np.square(v / 18)
    u, v = 0.94 * x + 0.34 * (y - 38), -0.2 * x + 0.98 * (y - 38)
    narrow = np.square(x / 14) + np.square((y - 14) / 17)
    back = np.minimum(np.square(u / 54) + np.square(v / 36), narrow)
    height = _PLATEAU_MM - 27 * _basin(middle) - 46 * _basin(back)
    # The orbits' roofs bulge, and the base slopes to the sella.
    height += 5 * np.exp(-np.square((x - 30) / 16) - np.square((y + 48) / 20))
    height -= 7 * np.exp(-np.square(x / 8) - np.square((y + 12) / 7))
    height -= 5 * np.exp(-np.square(x / 6) - np.square((y + 50) / 22))
    return np.asarray(height, dtype=np.float32)


def _basin(radius_squared: Field) -> Field:
    """Return 1 in the middle of a basin to 0 outside, with steep sides."""
    share = np.clip((1.18 - radius_squared) / 0.62, 0.0, 1.0)
    return np.asarray(share * share * (3 - 2 * share))


def _depth(x: Field, y: Field, z: Field) -> Field:
    """Return the distance to the cavity's surface, mm, exact to first order near it."""
    narrowing = 1 / (1 + np.float32(_NARROWER_FRONT / HALF_LENGTH_MM) * y)
    scaled = (
        x * narrowing * np.float32(1 / HALF_WIDTH_MM),
        y * np.float32(1 / HALF_LENGTH_MM),
        (z - np.float32(MIDDLE_MM)) * np.float32(1 / HALF_HEIGHT_MM),
    )
    squares = [np.square(share) for share in scaled]
    radius = np.sqrt(squares[0] + squares[1] + squares[2])
    slope = np.sqrt(
        squares[0] * np.float32(1 / HALF_WIDTH_MM**2)
        + squares[1] * np.float32(1 / HALF_LENGTH_MM**2)
        + squares[2] * np.float32(1 / HALF_HEIGHT_MM**2)
    )
    return np.asarray((1 - radius) * radius / (slope + np.float32(1e-6)))


def _ellipsoid(
    x: Field, y: Field, z: Field, centre: tuple[float, ...], half: tuple[float, ...]
) -> Field:
    radius = np.sqrt(
        np.square((x - centre[0]) / half[0])
        + np.square((y - centre[1]) / half[1])
        + np.square((z - centre[2]) / half[2])
    )
    return np.asarray((1 - radius) * min(half))
