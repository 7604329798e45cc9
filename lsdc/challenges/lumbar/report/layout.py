"""Layout: the positions of images and of their pixels on a sheet.

Sheet positions are (x, y) in pixels of the sheet; pixel centres are at integers, as in images.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsdc.geometry.planes import FloatArray, Planes
from lsdc.report.drawing import Box

# Names of the patient's directions at image edges, for -x, +x, -y and so on (LPS).
_DIRECTIONS = (("R", "L"), ("A", "P"), ("F", "H"))


@dataclass(frozen=True)
class Panel:
    """An image on a sheet, its pixels stretched so that mm are square.

    Attributes:
        box: the image's position on the sheet.
        shape: (rows, columns) of the image.
        plane: the image's single plane in patient space.
        mirrored: whether columns are shown from right to left.
    """

    box: Box
    shape: tuple[int, int]
    plane: Planes
    mirrored: bool = False

    @classmethod
    def fit(
        cls, room: Box, shape: tuple[int, int], plane: Planes, *, mirrored: bool = False
    ) -> "Panel":
        """Centre the image in a room, as large as it fits."""
        height_mm, width_mm = np.array(shape) * plane.spacing_mm[0]
        scale = min(room.width / width_mm, room.height / height_mm)
        width, height = max(1, round(width_mm * scale)), max(1, round(height_mm * scale))
        left = room.left + (room.width - width) // 2
        top = room.top + (room.height - height) // 2
        return cls(Box(left, top, width, height), shape, plane, mirrored)

    @property
    def pixels_per_mm(self) -> float:
        """The scale, equal in both directions except for the rounding of the box."""
        return float(self.box.width / (self.shape[1] * self.plane.spacing_mm[0, 1]))

    def place_pixels(self, pixels: npt.ArrayLike) -> FloatArray:
        """Return (n, 2) sheet positions of the image's pixels (x_px, y_px), (n, 2)."""
        rows, columns = self.shape
        share = (np.asarray(pixels, dtype=np.float64) + 0.5) / (columns, rows)
        if self.mirrored:
            share = np.stack([1 - share[:, 0], share[:, 1]], axis=1)
        corner = np.array([self.box.left, self.box.top])
        positions: FloatArray = share * (self.box.width, self.box.height) + corner - 0.5
        return positions

    def place_points(self, points_mm: npt.ArrayLike) -> FloatArray:
        """Return (n, 2) sheet positions of points (n, 3) in mm, projected onto the plane."""
        points = np.asarray(points_mm, dtype=np.float64).reshape(-1, 3)
        return self.place_pixels(self.plane.to_pixel(points[None])[0])

    def edge_names(self) -> tuple[str, str, str, str]:
        """Return the patient's directions that the left, right, top and bottom edges face."""
        left, right = _ends(self.plane.row_direction[0])
        top, bottom = _ends(self.plane.column_direction[0])
        return (right, left, top, bottom) if self.mirrored else (left, right, top, bottom)


def _ends(direction: FloatArray) -> tuple[str, str]:
    """Return the names of the directions that a vector comes from and points to."""
    axis = int(np.abs(direction).argmax())
    low, high = _DIRECTIONS[axis]
    return (low, high) if direction[axis] > 0 else (high, low)
