"""Render images of a spine: brightness as a function of position, sampled on slice planes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.lumbar.phantom.anatomy import Array, Spine
from lsdc.challenges.lumbar.phantom.build import Build, measure
from lsdc.challenges.lumbar.phantom.canvas import Canvas, Pixels
from lsdc.challenges.lumbar.phantom.column import paint_column
from lsdc.challenges.lumbar.phantom.tissues import Tissues
from lsdc.challenges.lumbar.phantom.torso import paint_torso

# Spine coordinates and noise are smooth: computed on a grid this coarse, then interpolated.
_KNOT_MM = 6.0
# Small images are painted in batches, larger ones while they fit into the CPU cache.
_BATCH_PX = 1 << 16


@dataclass(frozen=True)
class SlicePlane:
    """The position of one slice's pixels; the pixel (x_px, y_px) is a column and a row.

    Args:
        origin_mm: (3,) LPS of the centre of the first pixel (ImagePositionPatient).
        row_direction: (3,) unit vector of growing x_px.
        column_direction: (3,) unit vector of growing y_px.
        spacing_mm: between rows, between columns (PixelSpacing).
        shape: rows, columns.

    """

    origin_mm: Array
    row_direction: Array
    column_direction: Array
    spacing_mm: tuple[float, float]
    shape: tuple[int, int]

    @property
    def normal(self) -> Array:
        """(3,) unit vector across the slice."""
        return np.cross(self.row_direction, self.column_direction)

    def to_mm(self, x_px: Array, y_px: Array) -> Array:
        """Return the LPS positions (..., 3) of pixels."""
        along_rows = np.multiply.outer(x_px * self.spacing_mm[1], self.row_direction)
        along_columns = np.multiply.outer(y_px * self.spacing_mm[0], self.column_direction)
        return np.asarray(self.origin_mm + along_rows + along_columns)

    def to_px(self, point_mm: Array) -> tuple[float, float, float]:
        """Project a point (3,) onto the plane: return x_px, y_px, and its distance to it in mm."""
        offset = point_mm - self.origin_mm
        x_px = float(offset @ self.row_direction) / self.spacing_mm[1]
        y_px = float(offset @ self.column_direction) / self.spacing_mm[0]
        return x_px, y_px, abs(float(offset @ self.normal))

    def shows(self, x_px: float, y_px: float) -> bool:
        """Return whether a position lies within the image."""
        rows, columns = self.shape
        return -0.5 <= x_px <= columns - 0.5 and -0.5 <= y_px <= rows - 0.5


class Scene:
    """A patient in the scanner, to be imaged with any contrast."""

    def __init__(self, spine: Spine) -> None:
        self.spine = spine
        self._build: Build = measure(spine)
        rng = np.random.default_rng(spine.patient.texture_seed)
        directions = rng.normal(size=(8, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        self._waves = directions * (2 * np.pi / rng.uniform(24.0, 60.0, (8, 1)))
        self._phases = rng.uniform(0.0, 2 * np.pi, 8)

    def brightness(self, points_mm: Array, tissues: Tissues) -> Pixels:
        """Return brightness (...,), about 0..1, at LPS points (..., 3); no noise, no shading."""
        fields = self._fields(points_mm)
        flat = [np.ascontiguousarray(field, dtype=np.float32).ravel() for field in fields]
        return self._paint(flat, tissues).reshape(points_mm.shape[:-1])

    def slices(
        self, planes: Sequence[SlicePlane], tissues: Tissues, shading: float = 0.0
    ) -> Iterator[Pixels]:
        """Yield the brightness (rows, columns) on each plane; all share one shape and spacing.

        `shading` 0..1 is how much darker the front is, as with a surface coil at the back.
        """
        rows, columns = planes[0].shape
        batch = max(1, _BATCH_PX // (rows * columns))
        for start in range(0, len(planes), batch):
            yield from self._images(planes[start : start + batch], tissues, shading)

    def _images(self, planes: Sequence[SlicePlane], tissues: Tissues, shading: float) -> Pixels:
        """Return the images (planes, rows, columns)."""
        shape, spacing_mm = planes[0].shape, planes[0].spacing_mm
        step = [max(1, int(_KNOT_MM / spacing)) for spacing in spacing_mm]
        y_px, x_px = (
            np.arange(-(-(count - 1) // every) + 2, dtype=np.float64) * every
            for count, every in zip(shape, step, strict=True)
        )
        grid = np.meshgrid(x_px, y_px)
        knots = self._fields(np.stack([plane.to_mm(*grid) for plane in planes]))
        flat = [_refine(field, shape, step).ravel() for field in knots]
        images = self._paint(flat, tissues).reshape(len(planes), *shape)
        if shading:
            images *= _refine(_coil(knots, shading), shape, step)
        return images

    def _fields(self, points_mm: Array) -> list[Array]:
        """Return u, v, s and a smooth texture at points (..., 3)."""
        places = self.spine.to_spine(points_mm)
        local = points_mm - self.spine.patient.shift_mm
        texture = np.sin(local @ self._waves.T + self._phases).sum(axis=-1) * 0.35
        return [places[..., 0], places[..., 1], places[..., 2], texture]

    def _paint(self, fields: list[Pixels], tissues: Tissues) -> Pixels:
        build = self._build
        canvas = Canvas.blank(*fields, top_mm=build.top_mm, stations=len(build.wall_mm))
        paint_torso(canvas, build, tissues)
        with canvas.within((np.abs(canvas.u) < 57) & (canvas.v > -24) & (canvas.v < 64)) as column:
            paint_column(column, build, tissues)
        return canvas.value


def _coil(knots: list[Array], shading: float) -> Array:
    u, v, s, texture = knots
    far = np.exp(-np.maximum(75.0 - v, 0.0) / 95.0) * np.exp(-np.square(u / 150.0))
    ends = np.exp(-np.power(np.abs(s) / 165.0, 4))
    return np.asarray((1.0 - shading * (1.0 - 1.4 * far)) * ends * (1.0 + 0.03 * texture))


def _refine(knots: Array, shape: tuple[int, int], step: list[int]) -> NDArray[np.float32]:
    """Interpolate (planes, ...) knots at every step-th pixel linearly to images of a shape.

    Written out, since matrix products may round differently on different machines.
    """
    image = np.asarray(knots, dtype=np.float32)
    across = _between(np.moveaxis(image, 2, 1), shape[1], step[1])
    # Rows last, so that whole rows are added at once.
    return _between(np.ascontiguousarray(np.moveaxis(across, 1, 2)), shape[0], step[0])


def _between(knots: NDArray[np.float32], size: int, every: int) -> NDArray[np.float32]:
    """Interpolate (planes, knots, n) to (planes, size, n)."""
    share = (np.arange(every, dtype=np.float32) / np.float32(every))[:, None]
    fine = np.diff(knots, axis=1)[:, :, None] * share
    fine += knots[:, :-1, None]
    return fine.reshape(len(knots), -1, knots.shape[2])[:, :size]
