"""Keypoint targets: the annotated points of each study that the keypoint nets are trained on.

The net of sagittal views learns each level's canal point and two foramina, that of axial views the
canal point and the two subarticular zones. Points are in patient space (LPS, mm).
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.coordinates.level_points import known_points, trusted_levels
from lsdc.challenges.lumbar.coordinates.views import AXIAL, SAGITTAL
from lsdc.challenges.lumbar.vocabulary import LEVELS, Condition

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Family:
    """The views that one net takes, and the points it finds beside the levels' canal points.

    Attributes:
        name: the family's name, used in the nets' file names.
        kinds: the series descriptions of the views.
        left: the condition whose point is found on the patient's left of the canal.
        right: the condition whose point is found on the patient's right.
        box_mm: (2, 3) the lower and upper bounds of the left point's offset from the canal point
            (LPS), mirrored for the right one. The boxes do not overlap, so that the position of a
            point shows its side.
    """

    name: str
    kinds: tuple[str, ...]
    left: Condition
    right: Condition
    box_mm: tuple[tuple[float, float, float], tuple[float, float, float]]

    @property
    def conditions(self) -> tuple[Condition, Condition]:
        """The left condition, then the right one."""
        return self.left, self.right


FAMILIES = (
    Family(
        name="sagittal",
        kinds=SAGITTAL,
        left=Condition.LEFT_NEURAL_FORAMINAL_NARROWING,
        right=Condition.RIGHT_NEURAL_FORAMINAL_NARROWING,
        box_mm=((4.0, -24.0, -9.0), (34.0, 14.0, 20.0)),
    ),
    Family(
        name="axial",
        kinds=AXIAL,
        left=Condition.LEFT_SUBARTICULAR_STENOSIS,
        right=Condition.RIGHT_SUBARTICULAR_STENOSIS,
        box_mm=((0.5, -20.0, -9.0), (26.0, 12.0, 9.0)),
    ),
)
# A net's points: the canal of each level, then the left side of each, then the right.
POINTS_OF_NET = 3 * len(LEVELS)
ANCHORS = np.tile(np.arange(len(LEVELS)), 2)


def boxes_mm(family: Family) -> Floats:
    """Return the boxes (2 * levels, 2, 3) of the left sides, then of the right."""
    low, high = np.array(family.box_mm)
    mirror = np.array([-1.0, 1.0, 1.0])
    left = np.stack([low, high])
    right = np.sort(left * mirror, axis=0)
    return np.concatenate([np.repeat(side[None], len(LEVELS), axis=0) for side in (left, right)])


def training_targets(places: pl.DataFrame, family: Family) -> dict[int, Floats]:
    """Return each study's targets (POINTS_OF_NET, 3), NaN where unknown or not trusted.

    Levels out of order are left out, and so are side points outside their box.

    Args:
        places: the placed annotations, as `place_annotations` returns them.
        family: the family of views.
    """
    studies, known, _ = known_points(places)
    sides = _side_points(places, family)
    boxes = boxes_mm(family)
    taught = {}
    for study, points in zip(studies, known, strict=True):
        trusted = trusted_levels(points, np.isfinite(points).all(axis=1).astype(np.float64))
        levels = np.full_like(points, np.nan)
        levels[trusted] = points[trusted]
        own = sides.get(study, np.full((len(boxes), 3), np.nan))
        offsets = own - levels[ANCHORS]
        fits = ((offsets >= boxes[:, 0]) & (offsets <= boxes[:, 1])).all(axis=1)
        taught[study] = np.concatenate([levels, np.where(fits[:, None], own, np.nan)])
    return taught


def _side_points(places: pl.DataFrame, family: Family) -> dict[int, Floats]:
    """Return each study's side points (2 * levels, 3): the left sides, then the right."""
    row = {
        (str(condition), str(level)): side * len(LEVELS) + number
        for side, condition in enumerate(family.conditions)
        for number, level in enumerate(LEVELS)
    }
    found: dict[int, Floats] = {}
    own = places.filter(pl.col("condition").is_in([str(each) for each in family.conditions]))
    means = own.group_by("study_id", "condition", "level").agg(
        pl.col("x_mm", "y_mm", "z_mm").mean()
    )
    for study, condition, level, *place in means.iter_rows():
        points = found.setdefault(study, np.full((len(row), 3), np.nan))
        points[row[condition, level]] = place
    return found
