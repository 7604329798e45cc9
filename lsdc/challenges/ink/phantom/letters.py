"""Letters: strokes of ink, drawn from skeletons of Greek capitals."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.ink.phantom.waves import Waves

Mask = NDArray[np.bool_]
Line = tuple[tuple[float, float], ...]

# Lines of (x, y) from the letter's top left corner, in heights of the letter.
_ROUND: Line = tuple(
    (0.36 + 0.34 * np.cos(angle), 0.5 + 0.46 * np.sin(angle))
    for angle in np.linspace(0, 2 * np.pi, 17)
)
_SKELETONS: dict[str, tuple[Line, ...]] = {
    "alpha": (((0, 1), (0.38, 0), (0.76, 1)), ((0.15, 0.62), (0.6, 0.62))),
    "gamma": (((0, 1), (0, 0), (0.6, 0)),),
    "delta": (((0, 1), (0.4, 0), (0.8, 1), (0, 1)),),
    "epsilon": (
        ((0.6, 0.06), (0.15, 0.2), (0, 0.5), (0.15, 0.8), (0.6, 0.94)),
        ((0, 0.5), (0.5, 0.5)),
    ),
    "eta": (((0, 0), (0, 1)), ((0.64, 0), (0.64, 1)), ((0, 0.5), (0.64, 0.5))),
    "iota": (((0.1, 0), (0.1, 1)),),
    "kappa": (((0, 0), (0, 1)), ((0.6, 0), (0, 0.52), (0.62, 1))),
    "lambda": (((0, 1), (0.36, 0), (0.74, 1)),),
    "mu": (((0, 1), (0.12, 0), (0.44, 0.7), (0.76, 0), (0.88, 1)),),
    "nu": (((0, 1), (0, 0), (0.66, 1), (0.66, 0)),),
    "omicron": (_ROUND,),
    "pi": (((0, 1), (0, 0), (0.66, 0), (0.66, 1)),),
    "rho": (((0, 1), (0, 0), (0.42, 0.05), (0.52, 0.27), (0.4, 0.5), (0, 0.54)),),
    "tau": (((0, 0), (0.72, 0)), ((0.36, 0), (0.36, 1))),
    "upsilon": (((0, 0), (0.34, 0.46), (0.68, 0)), ((0.34, 0.46), (0.34, 1))),
    "chi": (((0, 0), (0.66, 1)), ((0.66, 0), (0, 1))),
}  # fmt: skip
# Of the competition's fragment 1, in px of the full size.
_HEIGHT_PX, _PITCH_PX = 730, 1080
_STROKE_PX = (150.0, 200.0)
_ADVANCE = 1.0  # from letter to letter, in heights
_ROUGH_PX = (10.0, 40.0)  # lengths of the waves of a stroke's edge
_TOLERANCE = 1.01  # of the share of ink
_SHIFT = 4  # bits of cv2's fractions of a pixel


def draw_letters(mask: Mask, scale: float, share: float, rng: np.random.Generator) -> Mask:
    """Draw letters in lines until they cover a share of the mask; some places stay empty.

    Args:
        mask: (rows, columns), where there is papyrus; no ink is outside.
        scale: full-size pixels in a pixel.
        share: the share of the mask to cover with ink.
        rng: the random stream.

    Returns:
        (rows, columns), True where there is ink.
    """
    height = _HEIGHT_PX / scale
    places = list(_places(mask.shape[0], mask.shape[1], scale, rng))
    names = list(_SKELETONS)
    rough = Waves.draw(32, (_ROUGH_PX[0] / scale, _ROUGH_PX[1] / scale), rng)
    ink = np.zeros(mask.shape, dtype=np.uint8)
    wanted = share * np.count_nonzero(mask)
    for number in rng.permutation(len(places)):
        more = ink.copy()
        _draw(more, _SKELETONS[names[rng.integers(len(names))]], places[number], height, scale, rng)
        if np.count_nonzero(more[mask]) <= wanted * _TOLERANCE:
            ink = more
    return _roughened(ink, rough, scale) & mask


def _places(
    rows: int, columns: int, scale: float, rng: np.random.Generator
) -> Iterator[tuple[float, float]]:
    """Yield the top left corners, (x, y), of letters in lines over a frame."""
    pitch, advance = _PITCH_PX / scale, _ADVANCE * _HEIGHT_PX / scale
    top = rng.uniform(-0.5, 0.0) * pitch
    while top < rows:
        left = rng.uniform(-1.0, 0.0) * advance
        while left < columns:
            yield left, top
            left += advance * rng.uniform(0.9, 1.2)
        top += pitch


def _draw(
    ink: NDArray[np.uint8],
    skeleton: tuple[Line, ...],
    place: tuple[float, float],
    height: float,
    scale: float,
    rng: np.random.Generator,
) -> None:
    stroke = rng.uniform(*_STROKE_PX) / scale
    lean, size = rng.normal(0, 0.06), rng.uniform(0.88, 1.08) * height
    corner = np.array(place) + rng.normal(0, 0.04, 2) * height
    for line in skeleton:
        points = np.array(line) + rng.normal(0, 0.02, (len(line), 2))
        points[:, 0] -= lean * points[:, 1]
        xy = np.round((corner + size * points) * 2**_SHIFT).astype(np.int32)
        cv2.polylines(
            ink, [xy.reshape(-1, 1, 2)], False, 1, max(1, round(stroke)), cv2.LINE_8, _SHIFT
        )


def _roughened(ink: NDArray[np.uint8], rough: Waves, scale: float) -> Mask:
    """Return strokes with uneven edges."""
    sigma = max(0.5, 16 / scale)
    out = np.empty(ink.shape, dtype=bool)
    soft = cv2.GaussianBlur(ink * np.uint8(200), (0, 0), sigma)
    for first in range(0, len(ink), 256):
        end = min(first + 256, len(ink))
        out[first:end] = soft[first:end] > 100 + 25 * rough.on(first, end, ink.shape[1])
    return out
