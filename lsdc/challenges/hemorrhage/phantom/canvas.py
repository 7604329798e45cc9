"""Samples of one slice in the head's frame, and soft-edged painting on them.

The head's frame: x to the patient's left, y to the back, z to the vertex, in mm of a head of
ordinary size; the origin is the middle of the brain.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating[Any]]  # (rows, columns, depths), float32
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Grid:
    """Regular samples of a slice: rows, columns, and depths within its thickness.

    Attributes:
        origins_mm: (depths, 3) the sample of the first row and column at each depth.
        down_mm: (3,) the step from a row to the next.
        across_mm: (3,) the step from a column to the next.
        shape: rows, columns.
    """

    origins_mm: NDArray[np.float64]
    down_mm: NDArray[np.float64]
    across_mm: NDArray[np.float64]
    shape: tuple[int, int]

    @property
    def depth_step_mm(self) -> float:
        """The distance between two depths."""
        return float(np.linalg.norm(self.origins_mm[1] - self.origins_mm[0]))

    def coordinates(self, axis: int) -> Field:
        """Return the samples' coordinates along one axis of the head's frame."""
        rows, columns = self.shape
        down = np.arange(rows) * self.down_mm[axis]
        across = np.arange(columns) * self.across_mm[axis]
        plane = (down[:, None] + across)[:, :, None] + self.origins_mm[:, axis]
        return np.asarray(plane, dtype=np.float32)

    def part(self, rows: slice, columns: slice) -> "Grid":
        """Return a rectangle of the grid."""
        return replace(
            self,
            origins_mm=self.origins_mm + rows.start * self.down_mm + columns.start * self.across_mm,
            shape=(rows.stop - rows.start, columns.stop - columns.start),
        )

    def coarse(self, step: int) -> "Grid":
        """Return one sample for each square of step x step, at its middle."""
        rows, columns = (-(-count // step) for count in self.shape)
        shift = (step - 1) / 2
        return Grid(
            self.origins_mm + shift * (self.down_mm + self.across_mm),
            self.down_mm * step,
            self.across_mm * step,
            (rows, columns),
        )

    def window(self, centre_mm: Point, reach_mm: float) -> tuple[slice, slice] | None:
        """Return the rows and columns within a reach of a point, or None if it is elsewhere."""
        offset = np.asarray(centre_mm) - self._middle_mm
        if abs(offset @ self._normal) > reach_mm + self._half_thickness_mm:
            return None
        spans = []
        for (step, length), count in zip(self._steps, self.shape, strict=True):
            place, reach = float(offset @ step) / length**2, reach_mm / length + 1.5
            start, stop = max(0, int(place - reach)), min(count, int(place + reach) + 1)
            if start >= stop:
                return None
            spans.append(slice(start, stop))
        return spans[0], spans[1]

    # A slice is asked for some eighty windows.
    @cached_property
    def _middle_mm(self) -> NDArray[np.float64]:
        return np.asarray(self.origins_mm.mean(axis=0))

    @cached_property
    def _normal(self) -> NDArray[np.float64]:
        normal = np.cross(self.across_mm, self.down_mm)
        return np.asarray(normal / np.linalg.norm(normal))

    @cached_property
    def _half_thickness_mm(self) -> float:
        return float(np.abs((self.origins_mm[[0, -1]] - self._middle_mm) @ self._normal).max())

    @cached_property
    def _steps(self) -> list[tuple[NDArray[np.float64], float]]:
        return [(step, float(np.linalg.norm(step))) for step in (self.down_mm, self.across_mm)]


@dataclass
class Canvas:
    """Samples of a slice: where they lie, and their HU so far; all arrays are `Field`s.

    Attributes:
        grid: the samples' places.
        edge_mm: the distance over which edges fade, at least a pixel.
        x, y, z: coordinates in the head's frame, mm.
        depth: the distance to the skull's inner side, mm, positive within.
        floor: the height above the skull's base, mm.
        skin: the depth under the skin, mm.
        coarse, folds, fine: smooth noise of unit variance, with waves of about 60, 17 and 7 mm.
        value: HU.
    """

    grid: Grid
    edge_mm: float
    x: Field
    y: Field
    z: Field
    depth: Field
    floor: Field
    skin: Field
    coarse: Field
    folds: Field
    fine: Field
    value: Field

    def window(self, centre_mm: Point, reach_mm: float) -> "Canvas | None":
        """Return the samples around a point as views of these, or None if they are elsewhere."""
        window = self.grid.window(centre_mm, reach_mm)
        return None if window is None else self.part(*window)

    def part(self, rows: slice, columns: slice) -> "Canvas":
        """Return a rectangle of the samples as views: painting on them paints here."""
        names = ("x", "y", "z", "depth", "floor", "skin", "coarse", "folds", "fine", "value")
        views = {name: getattr(self, name)[rows, columns] for name in names}
        return Canvas(self.grid.part(rows, columns), self.edge_mm, **views)

    def inside(self, depth_mm: Field) -> Field:
        """Return the share of a sample inside, from its depth within the edge in mm."""
        share = depth_mm * np.float32(1 / self.edge_mm)
        share += np.float32(0.5)
        return np.clip(share, 0.0, 1.0, out=share)

    def sheet(self, distance_mm: Field, half_mm: Field | float, *, level: bool = False) -> Field:
        """Return the share of a sample in a sheet that may be thinner than a sample.

        A sheet that is nearly level fades over the distance of the depths, too.
        """
        edge = np.float32(max(self.edge_mm, self.grid.depth_step_mm if level else 0.0))
        away = np.abs(distance_mm)
        upper = np.minimum(away + edge / 2, half_mm)
        lower = np.maximum(away - edge / 2, np.negative(half_mm))
        upper -= lower
        upper *= 1 / edge
        return np.clip(upper, 0.0, 1.0, out=upper)

    def paint(self, cover: Field, hu: Field | float) -> None:
        """Paint a tissue over the samples; `cover` is the share that it fills, 0..1."""
        self.value += cover * (np.asarray(hu, dtype=np.float32) - self.value)

    def ellipsoid(self, centre_mm: Point, half_mm: Point) -> Field:
        """Return the samples' approximate depth in an ellipsoid along the axes, mm."""
        total = np.square((self.x - np.float32(centre_mm[0])) * np.float32(1 / half_mm[0]))
        total += np.square((self.y - np.float32(centre_mm[1])) * np.float32(1 / half_mm[1]))
        total += np.square((self.z - np.float32(centre_mm[2])) * np.float32(1 / half_mm[2]))
        np.sqrt(total, out=total)
        np.subtract(1, total, out=total)
        total *= np.float32(min(half_mm))
        return np.asarray(total)

    def tube(self, start_mm: Point, end_mm: Point, radii_mm: tuple[float, float]) -> Field:
        """Return the samples' depth in a tube with round ends and two radii, mm."""
        axis = np.subtract(end_mm, start_mm).astype(np.float32)
        offsets = [
            values - np.float32(start)
            for values, start in zip((self.x, self.y, self.z), start_mm, strict=True)
        ]
        along = offsets[0] * axis[0]
        along += offsets[1] * axis[1]
        along += offsets[2] * axis[2]
        along *= 1 / np.square(axis).sum()
        np.clip(along, 0.0, 1.0, out=along)
        away = np.square(offsets[0] - along * axis[0])
        away += np.square(offsets[1] - along * axis[1])
        away += np.square(offsets[2] - along * axis[2])
        along *= np.float32(radii_mm[1] - radii_mm[0])
        along += np.float32(radii_mm[0])
        along -= np.sqrt(away, out=away)
        return np.asarray(along)
