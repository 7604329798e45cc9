"""The patient's position, and the part of the spine inside the scanner's fields of view."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

GeometryMix = Literal["usual", "hard"]

LUMBAR_VERTEBRAE = 5  # of an ordinary spine

# Fraction of hard studies with a level out of view; also of those with an extra vertebra.
_RARE = 0.03


@dataclass(frozen=True)
class Pose:
    """The geometry of one study; the defaults describe an ordinary one.

    Angles and shifts that are None are drawn from narrow ranges when the series are planned.
    """

    turn_degrees: float | None = None  # of sagittal slices, about the long axis
    tilt_degrees: float | None = None  # of sagittal slices, towards a side
    roll_degrees: float | None = None  # of axial slices, towards a side
    scoliosis_mm: tuple[float, float] | None = None  # amplitudes of a bow and of an S shape
    field_shift_mm: tuple[float, float] = (0.0, 0.0)  # of all fields of view: backwards, downwards
    hidden: Literal["none", "top", "bottom"] = "none"  # the level that no image shows
    vertebrae: int = LUMBAR_VERTEBRAE


# The first hard studies without planted quirks.
PLANTED_POSES = {
    6: Pose(vertebrae=LUMBAR_VERTEBRAE + 1),
    7: Pose(hidden="bottom"),
    8: Pose(hidden="top"),
}


def with_vertebrae(pose: Pose, vertebrae: int) -> Pose:
    """Return the pose of a spine with this number of lumbar vertebrae, all levels in view."""
    back, _ = pose.field_shift_mm
    return replace(pose, vertebrae=vertebrae, hidden="none", field_shift_mm=(back, 0.0))


def pose_of(index: int, split: str, mix: GeometryMix, rng: np.random.Generator) -> Pose:
    """Return the geometry of the index-th study of a split.

    "hard" has slices up to 15 degrees oblique, scoliosis of about 30 degrees, and fields of view
    up to 25 mm off; occasionally a level lies outside them, or the patient has a sixth lumbar
    vertebra, in which case the fields of view have no vertical shift.
    """
    if mix == "usual":
        return Pose()
    turn, tilt, roll = rng.uniform(-1.0, 1.0, 3) * (15.0, 8.0, 8.0)
    bow, wave = rng.uniform(-1.0, 1.0, 2) * (18.0, 6.0)
    back, down = rng.uniform(-25.0, 25.0, 2)
    rare = rng.random()
    planted = PLANTED_POSES.get(index, Pose()) if split == "train" else Pose()
    extra = planted.vertebrae > LUMBAR_VERTEBRAE or rare < _RARE
    hidden = planted.hidden
    if _RARE <= rare < 2 * _RARE and not extra:
        hidden = "bottom" if rare < 1.5 * _RARE else "top"
    return Pose(
        turn_degrees=float(turn),
        tilt_degrees=float(tilt),
        roll_degrees=float(roll),
        scoliosis_mm=(float(bow), float(wave)),
        field_shift_mm=(float(back), 0.0 if extra else float(down)),
        hidden="none" if extra else hidden,
        vertebrae=LUMBAR_VERTEBRAE + extra,
    )
