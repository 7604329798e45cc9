"""A study's slices in patient space (LPS, mm): a stack that only z moves, so tilt shears it."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.phantom.canvas import Grid
from lsdc.challenges.hemorrhage.phantom.patient import VERTEX_MM

Array = NDArray[np.float64]
SUBSLICES = 4
_BEYOND_VERTEX_MM = (9.0, 18.0)
_LOWEST_MM = (-64.0, -46.0)
_LOWEST_WITH_TEETH_MM = -98.0
_TILTS_DEGREES = (5.0, 26.0)
_FIELDS_MM = (230.0, 250.0)  # of view


@dataclass(frozen=True)
class Pose:
    """The head in the scanner.

    Attributes:
        middle_mm: (3,) LPS of the brain's middle.
        axes: (3, 3) the head's x, y and z axes in LPS, as columns.
    """

    middle_mm: Array
    axes: Array


@dataclass(frozen=True)
class Stack:
    """The slices of one study, from the base upwards.

    Attributes:
        tilt_degrees: of the gantry; positive turns the slices' front upwards.
        corner_mm: (3,) LPS of the first slice's first pixel.
        heights_mm: (n,) what each slice's z is above the first one's; only z moves.
        thicknesses_mm: (n,) along the slices' normal.
        spacing_mm: between pixels, both ways.
        size_px: rows and columns.
    """

    tilt_degrees: float
    corner_mm: Array
    heights_mm: Array
    thicknesses_mm: Array
    spacing_mm: float
    size_px: int

    @property
    def row_direction(self) -> Array:
        """(3,) unit vector of growing column numbers."""
        return np.array([1.0, 0.0, 0.0])

    @property
    def column_direction(self) -> Array:
        """(3,) unit vector of growing row numbers."""
        tilt = np.deg2rad(self.tilt_degrees)
        return np.array([0.0, np.cos(tilt), -np.sin(tilt)])

    @property
    def normal(self) -> Array:
        """(3,) unit vector across the slices, upwards."""
        return np.asarray(np.cross(self.row_direction, self.column_direction))

    def position_mm(self, number: int) -> Array:
        """Return (3,) LPS of a slice's first pixel (ImagePositionPatient)."""
        return np.asarray(self.corner_mm + np.array([0.0, 0.0, self.heights_mm[number]]))

    def grid(self, number: int, painted_px: int, pose: Pose, scale: float) -> Grid:
        """Return a slice's samples in the head's frame, `painted_px` to a side.

        The samples cover the same square as the slice's pixels.
        """
        step = self.spacing_mm * self.size_px / painted_px
        shift = (step - self.spacing_mm) / 2
        first = self.position_mm(number) + shift * (self.row_direction + self.column_direction)
        depths = (np.arange(SUBSLICES) + 0.5) / SUBSLICES - 0.5
        origins = first + np.multiply.outer(depths * self.thicknesses_mm[number], self.normal)
        into = pose.axes / scale
        return Grid(
            (origins - pose.middle_mm) @ into,
            step * self.column_direction @ into,
            step * self.row_direction @ into,
            (painted_px, painted_px),
        )


def draw_pose_and_stack(
    scale: float,
    count: int,
    size_px: int,
    rng: np.random.Generator,
    *,
    teeth: bool = False,
    finer_below: bool = False,
) -> tuple[Pose, Stack]:
    """Draw how a head of a size lies in the scanner, and the slices through it.

    Args:
        scale: the head's size, see `Patient`.
        count: the number of slices.
        size_px: rows and columns.
        rng: the only source of randomness.
        teeth: whether the slices start at the teeth.
        finer_below: whether the lower third of slices has half the step of the others.
    """
    tilt = 0.0
    if rng.random() < 0.5:
        tilt = float(rng.uniform(*_TILTS_DEGREES)) * (1 if rng.random() < 0.8 else -1)
        tilt = tilt if tilt > 0 else max(tilt, -9.0)
    # Technicians tilt the gantry for a chin that is not tucked in: part of the tilt remains.
    pitch = 0.45 * tilt + rng.normal(-4.0, 3.5)
    roll, yaw = rng.normal(0.0, 1.8), rng.normal(0.0, 2.5)
    middle = np.array([rng.uniform(-5, 5), rng.uniform(-20, 20), rng.uniform(50, 300)])
    pose = Pose(middle, _rotation(np.deg2rad([-pitch, roll, yaw])))
    low = _LOWEST_WITH_TEETH_MM if teeth else rng.uniform(*_LOWEST_MM)
    high = VERTEX_MM + rng.uniform(*_BEYOND_VERTEX_MM)
    shares = np.ones(count - 1)
    if finer_below:
        shares[: count // 3] = 0.5
    along = np.concatenate([[0.0], np.cumsum(shares)]) / shares.sum() * (high - low) * scale
    stack = Stack(
        tilt_degrees=tilt,
        corner_mm=np.zeros(3),
        heights_mm=(along / np.cos(np.deg2rad(tilt))).round(4),
        thicknesses_mm=np.append(shares, 1.0) * ((high - low) * scale / shares.sum()),
        spacing_mm=round(float(rng.uniform(*_FIELDS_MM)) / size_px, 6),
        size_px=size_px,
    )
    # The head is in the middle of the image half-way up the stack; its front needs more room.
    half = (size_px - 1) / 2 * stack.spacing_mm
    right, down = rng.normal(0.0, 3.0, 2) - half + (0.0, -4.0)
    corner = middle + (high + low) / 2 * scale * stack.normal
    corner += right * stack.row_direction + down * stack.column_direction
    corner[2] -= stack.heights_mm.mean()
    return pose, replace(stack, corner_mm=corner.round(6))


def _rotation(angles: Array) -> Array:
    """Return (3, 3), the rotation about x, y and z by small angles in radians."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)
