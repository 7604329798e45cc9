"""Pixels with coordinates in the spine's frame, and soft-edged painting on them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.lumbar.phantom.anatomy import STATION_STEP_MM

Pixels = NDArray[np.floating[Any]]  # always float32; numpy's types lose that
Half = float | Pixels  # a semi-axis, mm

# Edges fade over this distance: a voxel of two tissues shows their mean.
_EDGE_MM = np.float32(0.9)


@dataclass
class Canvas:
    """(n,) pixels with their coordinates in the spine's frame (mm) and their brightness so far.

    `texture` is smooth noise, about -1..1.
    """

    u: Pixels
    v: Pixels
    s: Pixels
    texture: Pixels
    station: NDArray[np.intp]
    value: Pixels

    @classmethod
    def blank(
        cls, u: Pixels, v: Pixels, s: Pixels, texture: Pixels, *, top_mm: float, stations: int
    ) -> "Canvas":
        """Create pixels at (u, v, s), each with the index of its station along the spine."""
        station = ((s - np.float32(top_mm)) * np.float32(1 / STATION_STEP_MM) + 0.5).astype(np.intp)
        np.clip(station, 0, stations - 1, out=station)
        return cls(u, v, s, texture, station, np.zeros_like(u))

    def at(self, table: Pixels) -> Pixels:
        """Return (n,), the value of a (n stations,) table at each pixel."""
        return table.take(self.station, mode="clip")

    @contextmanager
    def within(self, mask: NDArray[np.bool_]) -> Iterator["Canvas"]:
        """Yield the pixels under the mask as their own canvas; write them back at the end."""
        chosen = np.flatnonzero(mask)
        part = Canvas(
            self.u[chosen],
            self.v[chosen],
            self.s[chosen],
            self.texture[chosen],
            self.station[chosen],
            self.value[chosen],
        )
        yield part
        self.value[chosen] = part.value

    def paint(self, cover: Pixels, brightness: float | Pixels) -> None:
        """Paint a tissue over the pixels; `cover` (n,) is the fraction that it fills, 0..1."""
        self.value += cover * (np.asarray(brightness, dtype=np.float32) - self.value)


def inside(depth_mm: Pixels) -> Pixels:
    """Return the fraction of a pixel inside, from its distance to the edge (positive inside)."""
    return np.asarray(np.clip(depth_mm * (1 / _EDGE_MM) + np.float32(0.5), 0.0, 1.0))


def ellipse(x: Pixels, y: Pixels, half_x: Half, half_y: Half) -> Pixels:
    """Return a pixel's approximate depth inside an ellipse around the origin, mm."""
    return _deep((x, y), (half_x, half_y))


def ellipsoid(x: Pixels, y: Pixels, z: Pixels, half: tuple[Half, Half, Half]) -> Pixels:
    """Return a pixel's approximate depth inside an ellipsoid around the origin, mm."""
    return _deep((x, y, z), half)


def _deep(place: Sequence[Pixels], halves: Sequence[Half]) -> Pixels:
    # In place: painting large images is bound by memory bandwidth.
    solid = [_not_flat(half) for half in halves]
    radius = np.square(place[0] / solid[0])
    for along, half in zip(place[1:], solid[1:], strict=True):
        share = along / half
        radius += np.square(share, out=share)
    depth = np.subtract(1, np.sqrt(radius, out=radius), out=radius)
    depth *= reduce(np.minimum, solid)
    return depth


def _not_flat(half: Half) -> Pixels:
    return np.maximum(np.asarray(half, dtype=np.float32), np.float32(0.05))
