"""A parametric lumbar spine: landmarks in patient space and in the spine's own frame.

Two frames. Patient space is DICOM's LPS in mm. The spine's own frame follows its curve:
`u` to the patient's left, `v` to the back, measured from the middle of the vertebral bodies, and
`s` downwards along the curve, 0 at the L3/L4 disc, all in mm of a spine of ordinary size.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.lumbar.phantom.pose import LUMBAR_VERTEBRAE, Pose
from lsdc.challenges.lumbar.phantom.profiles import (
    BODY_HALF_DEPTH_MM,
    BODY_HEIGHTS_MM,
    CANAL_HALF_DEPTH_MM,
    DISC_HEIGHTS_MM,
    DISC_TILTS_DEGREES,
    FIRST_LUMBAR_DISC,
    FORAMEN_ABOVE_DISC_MM,
    FORAMEN_BEHIND_WALL_MM,
    FORAMEN_BESIDE_MIDLINE_MM,
    RECESS_BEHIND_WALL_MM,
    RECESS_BESIDE_MIDLINE_MM,
)

Array = NDArray[np.float64]

_ORDINARY = Pose()

LEVEL_COUNT = 5
STATION_STEP_MM = 0.5
_TOP_MM, _BOTTOM_MM = -220.0, 260.0
# Severity of a grade on a scale from open (0) to closed (1); neighbours overlap slightly.
_SEVERITY = np.array([0.12, 0.5, 0.88])
_SEVERITY_SPREAD = 0.085
_NEWTON_STEPS = 5


@dataclass(frozen=True)
class Patient:
    """One patient's pose, build and disease.

    Severities run from 0 (open) to 1 (closed) over the levels L1/L2 .. L5/S1; in arrays of two
    rows, the first is the patient's left.
    """

    shift_mm: Array  # (3,)
    rotation: Array  # (3, 3), the patient's axes as columns in LPS
    scale: float
    lordosis: float
    scoliosis_mm: Array  # (2,) amplitudes of a bow and of an S shape
    level_jitter: Array  # (2, 5) factors of the body and disc heights
    canal: Array  # (5,)
    foramina: Array  # (2, 5)
    recesses: Array  # (2, 5)
    canal_size: Array  # (5,) factors of the open width
    foramen_size: Array  # (2, 5)
    recess_size: Array  # (2, 5)
    hydration: Array  # (5,) how bright a disc is on T2, 0..1
    texture_seed: int
    vertebrae: int = LUMBAR_VERTEBRAE


def draw_patient(
    grades: NDArray[np.int8], rng: np.random.Generator, pose: Pose = _ORDINARY
) -> Patient:
    """Draw a random patient with these grades.

    Args:
        grades: (5, 5), conditions (canal, left and right foramen, left and right recess) by
            levels from L1/L2 down; 0 normal or mild, 1 moderate, 2 severe.
        rng: the only source of randomness.
        pose: the bending of the spine, and the number of its lumbar vertebrae.
    """
    severity = _SEVERITY[grades] + rng.normal(0.0, _SEVERITY_SPREAD, (5, LEVEL_COUNT))
    severity = np.clip(severity, 0.0, 1.0)
    shift = np.array([rng.uniform(-15, 15), rng.uniform(-30, 30), rng.uniform(-350, 50)])
    # A wide canal is wide at every level, so one factor is the patient's and one is the level's.
    canal_size = rng.normal(1.0, 0.06) * rng.normal(1.0, 0.03, LEVEL_COUNT)
    return Patient(
        shift_mm=shift,
        rotation=_rotation(np.deg2rad(rng.uniform(-3.0, 3.0, 3))),
        scale=float(rng.uniform(0.92, 1.06)),
        lordosis=float(rng.uniform(0.75, 1.1)),
        scoliosis_mm=_scoliosis(pose, rng),
        level_jitter=rng.uniform(0.95, 1.05, (2, LEVEL_COUNT)),
        canal=severity[0],
        foramina=severity[1:3],
        recesses=severity[3:5],
        canal_size=canal_size,
        foramen_size=rng.normal(1.0, 0.05) * rng.normal(1.0, 0.04, (2, LEVEL_COUNT)),
        recess_size=rng.normal(1.0, 0.05) * rng.normal(1.0, 0.04, (2, LEVEL_COUNT)),
        hydration=rng.uniform(0.0, 1.0, LEVEL_COUNT),
        texture_seed=int(rng.integers(2**31)),
        vertebrae=pose.vertebrae,
    )


def _scoliosis(pose: Pose, rng: np.random.Generator) -> Array:
    drawn = rng.uniform(-1.0, 1.0, 2) * np.array([4.0, 1.5])
    return drawn if pose.scoliosis_mm is None else np.array(pose.scoliosis_mm)


@dataclass(frozen=True)
class Spine:
    """A patient's spine: its curve, its landmarks, and the conversion between the two frames."""

    patient: Patient

    @cached_property
    def stations_mm(self) -> Array:
        """(n stations,) the values of `s` at which quantities along the spine are tabulated."""
        return np.arange(_TOP_MM, _BOTTOM_MM + STATION_STEP_MM / 2, STATION_STEP_MM)

    @cached_property
    def body_heights_mm(self) -> Array:
        """(n bodies,) heights from the highest body to the lowest."""
        heights = self.at_discs(BODY_HEIGHTS_MM)
        heights[self._levels] *= self.patient.level_jitter[0]
        return heights

    @cached_property
    def disc_heights_mm(self) -> Array:
        """(n discs,) heights of the disc below each body."""
        heights = self.at_discs(DISC_HEIGHTS_MM)
        heights[self._levels] *= self.patient.level_jitter[1]
        return heights

    @cached_property
    def discs_mm(self) -> Array:
        """(n discs,) `s` of each disc's middle; 0 is the middle of the lumbar discs."""
        pitch = (
            self.body_heights_mm[1:] + (self.disc_heights_mm[1:] + self.disc_heights_mm[:-1]) / 2
        )
        middles = np.concatenate([[0.0], np.cumsum(pitch)])
        below = FIRST_LUMBAR_DISC + 2 + self._more_vertebrae
        return np.asarray(middles - (middles[FIRST_LUMBAR_DISC + 2] + middles[below]) / 2)

    @property
    def first_level(self) -> int:
        """The index of the disc L1/L2; levels are counted from the sacrum, as readers do."""
        return FIRST_LUMBAR_DISC + self._more_vertebrae

    @property
    def _more_vertebrae(self) -> int:
        return self.patient.vertebrae - LUMBAR_VERTEBRAE

    @property
    def _levels(self) -> slice:
        return slice(self.first_level, self.first_level + LEVEL_COUNT)

    @property
    def level_discs_mm(self) -> Array:
        """(5,) `s` of the discs L1/L2 .. L5/S1."""
        return self.discs_mm[self._levels]

    def at_discs(self, profile: tuple[float, ...]) -> Array:
        """Return (n discs,), a profile.

        An extra vertebra is the mean of L3/L4 and L4/L5. With one vertebra less, the lowest is the
        first of the sacrum, and L3/L4 is left out.
        """
        values, after = np.array(profile), FIRST_LUMBAR_DISC + 3
        if self._more_vertebrae > 0:
            return np.insert(values, after, values[after - 1 : after + 1].mean())
        return np.delete(values, after - 1) if self._more_vertebrae < 0 else values

    def along(self, values_at_discs: Array | tuple[float, ...]) -> Array:
        """Return (n stations,), a quantity given at the discs, smoothly interpolated."""
        if isinstance(values_at_discs, tuple):
            values_at_discs = self.at_discs(values_at_discs)
        raw = np.interp(self.stations_mm, self.discs_mm, values_at_discs)
        return _smooth(raw, width_mm=12.0)

    @cached_property
    def wall_mm(self) -> Array:
        """(n stations,) `v` of the back wall of bodies and discs."""
        return self.along(BODY_HALF_DEPTH_MM)

    @cached_property
    def canal_middle_mm(self) -> Array:
        """(n stations,) `v` of the middle of the spinal canal."""
        return self.wall_mm + self.along(CANAL_HALF_DEPTH_MM)

    @cached_property
    def _tilt(self) -> Array:
        return np.deg2rad(self.along(DISC_TILTS_DEGREES) * self.patient.lordosis)

    @cached_property
    def _curve(self) -> Array:
        """(n stations, 2) y and z of the bodies' middle, before rotation and scaling."""
        steps = np.stack([np.sin(self._tilt), -np.cos(self._tilt)], axis=1) * STATION_STEP_MM
        curve = np.cumsum((steps + np.roll(steps, 1, axis=0)) / 2, axis=0)
        zero = int(np.argmin(np.abs(self.stations_mm)))
        return np.asarray(curve - curve[zero])

    @cached_property
    def _sideways(self) -> Array:
        """(n stations,) x of the bodies' middle: slight scoliosis."""
        bow, wave = self.patient.scoliosis_mm
        phase = np.clip(self.stations_mm / 110.0, -1.3, 1.3) * np.pi / 2
        return np.asarray(bow * np.cos(phase) + wave * np.sin(2 * phase))

    def to_patient(self, spine_mm: Array) -> Array:
        """Convert points (..., 3) from (u, v, s) to LPS."""
        u, v, s = np.moveaxis(np.asarray(spine_mm, dtype=np.float64), -1, 0)
        tilt = self._at(s, self._tilt)
        local = np.stack(
            [
                u + self._at(s, self._sideways),
                self._at(s, self._curve[:, 0]) + v * np.cos(tilt),
                self._at(s, self._curve[:, 1]) + v * np.sin(tilt),
            ],
            axis=-1,
        )
        return local * self.patient.scale @ self.patient.rotation.T + self.patient.shift_mm

    def to_spine(self, points_mm: Array) -> Array:
        """Convert LPS points (..., 3) to (u, v, s), via the nearest point of the curve."""
        patient = self.patient
        local = (points_mm - patient.shift_mm) @ patient.rotation / patient.scale
        x, y, z = np.moveaxis(local, -1, 0)
        s = -z
        for _ in range(_NEWTON_STEPS):  # for the foot of the perpendicular on the curve
            along, across, bend = self._foot(y, z, s)
            s = np.clip(s + along / np.maximum(1.0 - across * bend, 0.5), _TOP_MM, _BOTTOM_MM)
        _, across, _ = self._foot(y, z, s)
        return np.stack([x - self._at(s, self._sideways), across, s], axis=-1)

    @cached_property
    def _frames(self) -> Array:
        """(n stations, 5) the curve's y, z, sine and cosine of its tilt, and its bend per mm."""
        bend = np.gradient(self._tilt, STATION_STEP_MM)
        return np.column_stack([self._curve, np.sin(self._tilt), np.cos(self._tilt), bend])

    def _foot(self, y: Array, z: Array, s: Array) -> tuple[Array, Array, Array]:
        """Return points' distances along and across the curve from a station, and its bend."""
        place = (s - _TOP_MM) / STATION_STEP_MM
        below = np.clip(place.astype(np.int64), 0, len(self._frames) - 2)
        share = (place - below)[..., None]
        frame = self._frames[below] * (1.0 - share) + self._frames[below + 1] * share
        dy, dz = y - frame[..., 0], z - frame[..., 1]
        sine, cosine = frame[..., 2], frame[..., 3]
        return dy * sine - dz * cosine, dy * cosine + dz * sine, frame[..., 4]

    def canal_points_mm(self) -> Array:
        """Return (5, 3) LPS, the middle of the canal at each disc: the level points."""
        s = self.level_discs_mm
        return self.to_patient(
            np.stack([np.zeros(LEVEL_COUNT), self._at(s, self.canal_middle_mm), s], axis=-1)
        )

    def foramen_points_mm(self) -> Array:
        """Return (2, 5, 3) LPS, the middle of the left and the right neural foramina."""
        s = self.level_discs_mm
        v = self._at(s, self.wall_mm) + FORAMEN_BEHIND_WALL_MM
        return self._both_sides(FORAMEN_BESIDE_MIDLINE_MM, v, s - FORAMEN_ABOVE_DISC_MM)

    def recess_points_mm(self) -> Array:
        """Return (2, 5, 3) LPS, the middle of the left and the right lateral recesses."""
        s = self.level_discs_mm
        v = self._at(s, self.wall_mm) + RECESS_BEHIND_WALL_MM
        return self._both_sides(RECESS_BESIDE_MIDLINE_MM, v, s)

    def structure_points_mm(self) -> Array:
        """Return (5, 5 levels, 3) LPS: canal, left and right foramen, left and right recess."""
        canal = self.canal_points_mm()[None]
        return np.concatenate([canal, self.foramen_points_mm(), self.recess_points_mm()])

    def _both_sides(self, u_mm: float, v: Array, s: Array) -> Array:
        left = np.stack([np.full(LEVEL_COUNT, u_mm), v, s], axis=-1)
        return self.to_patient(np.stack([left, left * np.array([-1.0, 1.0, 1.0])]))

    def _at(self, s: Array, table: Array) -> Array:
        return np.asarray(np.interp(s, self.stations_mm, table))


def _smooth(values: Array, width_mm: float) -> Array:
    count = int(width_mm / STATION_STEP_MM) | 1
    kernel = np.hanning(count + 2)[1:-1]
    padded = np.pad(values, count // 2, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), mode="valid")


def _rotation(angles: Array) -> Array:
    """Return (3, 3), the rotation about x, y and z by small angles in radians."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)
