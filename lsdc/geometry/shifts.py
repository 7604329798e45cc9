"""Shifts between the slices of a stack, from a patient who moved during the scan."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lsdc.geometry.planes import FloatArray

# Anatomy drifts by a millimetre per slice at most; a larger jump is motion.
JUMP_MM = 2.0
# Slices farther apart differ too much to be registered.
MOST_APART_MM = 10.0
# OpenCV's response for a reliable shift; noise stays below it from 128 px on.
MIN_RESPONSE = 0.2
# An edge of this many pixels resolves shifts of a tenth of a millimetre, and is cheap.
_LARGEST_PX = 256
_WINDOW = 7  # pairs of steps for the usual drift


def stack_shifts(
    images: Sequence[npt.NDArray[np.float32]],
    positions_mm: npt.ArrayLike,
    spacing_mm: tuple[float, float],
) -> FloatArray:
    """Return how far each slice's content is shifted in its plane against most of its stack.

    Neighbouring slices are registered by phase correlation (Kuglin and Hines, 1975). Their shifts
    include anatomical drift, so only jumps count as motion: shifts that differ by JUMP_MM from the
    usual one. The usual shift is taken over two slices, so that neither a single step nor an
    interleaved stack, with every other slice shifted, affects it.

    Args:
        images: n slices of one shape, in order along their normal.
        positions_mm: (n,) positions along the normal.
        spacing_mm: the spacing between rows, and between columns.

    Returns:
        (n, 2) shifts in mm along x_px and y_px; zeros for most slices of most stacks.

    >>> images = [np.random.default_rng(0).random((128, 128), np.float32)] * 5
    >>> images[2] = np.roll(images[2], 8, axis=1)
    >>> stack_shifts(images, [0, 4, 8, 12, 16], (0.5, 0.5))[:, 0].round(1).tolist()
    [0.0, 0.0, 4.0, 0.0, 0.0]
    """
    shifts = np.zeros((len(images), 2))
    if len(images) < 3:  # of two, neither can be blamed
        return shifts
    steps = _pair_shifts(images, spacing_mm)
    steps[np.abs(np.diff(np.asarray(positions_mm))) > MOST_APART_MM] = 0
    jumps = steps - _usual(steps)
    jumps[np.linalg.norm(jumps, axis=1) < JUMP_MM] = 0
    shifts[1:] = np.cumsum(jumps, axis=0)
    shifts -= np.median(shifts, axis=0)
    shifts[np.linalg.norm(shifts, axis=1) < JUMP_MM] = 0  # e.g. after a jump and its return
    return shifts


def _pair_shifts(
    images: Sequence[npt.NDArray[np.float32]], spacing_mm: tuple[float, float]
) -> FloatArray:
    """Return (n - 1, 2) shifts in mm from each slice to the next; zero where unreliable."""
    import cv2  # late, as in `lsdc.geometry.resample`

    rows, columns = images[0].shape
    every = -(-max(rows, columns) // _LARGEST_PX)
    size = max(1, columns // every), max(1, rows // every)
    window = cv2.createHanningWindow(size, cv2.CV_32F)
    small = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images]
    pixel_mm = np.array([spacing_mm[1] * columns / size[0], spacing_mm[0] * rows / size[1]])
    steps = np.zeros((len(images) - 1, 2))
    for number, pair in enumerate(pairwise(small)):
        shift_px, response = cv2.phaseCorrelate(*pair, window)
        if response >= MIN_RESPONSE:
            steps[number] = np.array(shift_px) * pixel_mm
    return steps


def _usual(steps: FloatArray) -> FloatArray:
    """Return (n - 1, 2) median steps around each step, taken over pairs of steps."""
    doubled = (steps[:-1] + steps[1:]) / 2
    latest = max(0, len(doubled) - _WINDOW)
    first = np.clip(np.arange(len(steps)) - _WINDOW // 2, 0, latest)
    return np.stack([np.median(doubled[at : at + _WINDOW], axis=0) for at in first])
