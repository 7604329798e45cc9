"""One head in the scanner, with chosen bleeds, without files."""

from functools import cache

import numpy as np

from lsdc.challenges.hemorrhage.phantom.bleeds import Bleed, Grade, draw_bleeds
from lsdc.challenges.hemorrhage.phantom.canvas import Grid
from lsdc.challenges.hemorrhage.phantom.image import Rendered, Scene
from lsdc.challenges.hemorrhage.phantom.patient import draw_patient, shape_of
from lsdc.challenges.hemorrhage.phantom.stack import Pose, Stack
from lsdc.challenges.hemorrhage.vocabulary import Label

SIZE_PX, SPACING_MM, THICKNESS_MM = 128, 1.95, 5.0
COUNT, LOWEST_MM = 34, -62.0
_HALF_MM = (SIZE_PX - 1) / 2 * SPACING_MM
# The head's own axes are those of the images, so that pixels are easily found in its frame.
STRAIGHT = Pose(np.zeros(3), np.eye(3))
STACK = Stack(
    tilt_degrees=0.0,
    corner_mm=np.array([-_HALF_MM, -_HALF_MM, LOWEST_MM]),
    heights_mm=np.arange(COUNT) * THICKNESS_MM,
    thicknesses_mm=np.full(COUNT, THICKNESS_MM),
    spacing_mm=SPACING_MM,
    size_px=SIZE_PX,
)
PATIENT = draw_patient(np.random.default_rng(7))


def slice_at(z_mm: float) -> int:
    """Return the number of the slice nearest to a height in the head's frame."""
    return round((z_mm * PATIENT.scale - LOWEST_MM) / THICKNESS_MM)


@cache
def render(bleeds: tuple[Bleed, ...], number: int) -> Rendered:
    return Scene(PATIENT, bleeds, STRAIGHT, STACK).render(number)


def middle_grid(number: int) -> Grid:
    """Return the middle of a slice's pixels in the head's frame."""
    grid = STACK.grid(number, SIZE_PX, STRAIGHT, PATIENT.scale)
    return Grid(
        grid.origins_mm.mean(axis=0, keepdims=True), grid.down_mm, grid.across_mm, grid.shape
    )


def frame_mm(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return x, y and z of a slice's pixels in the head's frame, (rows, columns) each."""
    grid = middle_grid(number)
    x, y, z = (grid.coordinates(axis)[:, :, 0] for axis in range(3))
    return x, y, z


def depth_mm(number: int) -> np.ndarray:
    """Return the distance of a slice's pixels to the skull's inner side, positive within."""
    return shape_of(PATIENT, middle_grid(number)).depth[:, :, 0]


def drawn(subtype: Label, seed: int, grade: Grade | None = None) -> Bleed:
    """Draw a bleed of a subtype, and of a grade if given."""
    rng = np.random.default_rng(seed)
    while True:
        (bleed,) = draw_bleeds((subtype,), rng)
        if grade in (None, bleed.grade):
            return bleed


def blood(bleed: Bleed, number: int) -> np.ndarray:
    """Return the pixels of a slice that the bleed fills at least by half."""
    cover = render((bleed,), number).cover.get(bleed.subtype)
    return np.zeros((SIZE_PX, SIZE_PX), bool) if cover is None else cover >= 0.5


def shown_on(bleed: Bleed) -> list[int]:
    """Return the slices that the bleed fills some pixels of."""
    return [number for number in range(COUNT) if blood(bleed, number).any()]
