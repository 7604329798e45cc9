"""Layout: where images lie on a sheet, and where their pixels come to lie.

Sheet positions are (x, y) in pixels of the sheet, whose pixel centres are at integers as those of
images are.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsdc.geometry.planes import FloatArray, Planes

# Names of the patient's directions at the edges of images, for -x, +x, -y and so on (LPS).
_DIRECTIONS = (("R", "L"), ("A", "P"), ("F", "H"))


@dataclass(frozen=True)
class Box:
    """A rectangle of a sheet, in whole pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The first column beyond it."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """The first row beyond it."""
        return self.top + self.height

    @property
    def corners(self) -> tuple[int, int, int, int]:
        """Its outermost pixels, as Pillow wants them."""
        return self.left, self.top, self.right - 1, self.bottom - 1


@dataclass(frozen=True)
class Panel:
    """An image on a sheet, its pixels stretched so that mm are square.

    Attributes:
        box: where it lies.
        shape: (rows, columns) of the image.
        plane: where the image lies in the patient; one plane.
        mirrored: whether it is shown with its columns from right to left.
    """

    box: Box
    shape: tuple[int, int]
    plane: Planes
    mirrored: bool = False

    @classmethod
    def fit(
        cls, room: Box, shape: tuple[int, int], plane: Planes, *, mirrored: bool = False
    ) -> "Panel":
        """The image in the middle of a room, as large as it holds."""
        height_mm, width_mm = np.array(shape) * plane.spacing_mm[0]
        scale = min(room.width / width_mm, room.height / height_mm)
        width, height = max(1, round(width_mm * scale)), max(1, round(height_mm * scale))
        left = room.left + (room.width - width) // 2
        top = room.top + (room.height - height) // 2
        return cls(Box(left, top, width, height), shape, plane, mirrored)

    @property
    def pixels_per_mm(self) -> float:
        """The scale; in both directions but for the rounding of the box."""
        return float(self.box.width / (self.shape[1] * self.plane.spacing_mm[0, 1]))

    def place_pixels(self, pixels: npt.ArrayLike) -> FloatArray:
        """(n, 2) sheet positions of the image's pixels (x_px, y_px), (n, 2)."""
        rows, columns = self.shape
        share = (np.asarray(pixels, dtype=np.float64) + 0.5) / (columns, rows)
        if self.mirrored:
            share = np.stack([1 - share[:, 0], share[:, 1]], axis=1)
        corner = np.array([self.box.left, self.box.top])
        positions: FloatArray = share * (self.box.width, self.box.height) + corner - 0.5
        return positions

    def place_points(self, points_mm: npt.ArrayLike) -> FloatArray:
        """(n, 2) sheet positions of points (n, 3) in mm, dropped onto the image's plane."""
        points = np.asarray(points_mm, dtype=np.float64).reshape(-1, 3)
        return self.place_pixels(self.plane.to_pixel(points[None])[0])

    def edge_names(self) -> tuple[str, str, str, str]:
        """Which of the patient's directions the left, right, top and bottom edge face."""
        left, right = _ends(self.plane.row_direction[0])
        top, bottom = _ends(self.plane.column_direction[0])
        return (right, left, top, bottom) if self.mirrored else (left, right, top, bottom)


def _ends(direction: FloatArray) -> tuple[str, str]:
    """The names of where a direction comes from and where it goes."""
    axis = int(np.abs(direction).argmax())
    low, high = _DIRECTIONS[axis]
    return (low, high) if direction[axis] > 0 else (high, low)
