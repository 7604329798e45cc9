"""Jitter: errors of points, drawn for each training sample as movements of its windows and slices.

A window moves with the point that it is centred on, and a part's slices with the point that they
are chosen by, so one error moves all that depends on the point: in the plane of a slice it moves
the window, across the slices it exchanges them for their neighbours.
"""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.config.augment import Spread
from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.crops.frames import ERRORS, read_pixels_mm
from lsdc.challenges.lumbar.slices.slots import Part, Place, list_places, stored_places
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, Condition, SeriesDescription, Side
from lsdc.errors import DataError
from lsdc.store.exact_names import read_parquet
from lsdc.training.frames import Move

Floats = NDArray[np.float64]

# Points farther off lie at another level or vertebra, and what the window shows has other labels.
LARGEST_MM = 10.0
_XYZ = ["x_mm", "y_mm", "z_mm"]
_ACROSS = ["sagittal_slices", "axial_slices"]
_NO_POINT = -1
_CANAL = CONDITIONS.index(Condition.SPINAL_CANAL_STENOSIS)
_MIRRORED = [CONDITIONS.index(condition.mirrored) for condition in CONDITIONS]
_SIDES = {Part.LEFT: Side.LEFT, Part.RIGHT: Side.RIGHT}


class PointJitter:
    """Draw the errors of each sample's points, a function of a seed; a `lsdc.training.frames.Draw`.

    Args:
        experiment: the settings; `augment.point_mm` or `augment.point_slices` is not 0.
        crops: the folder of the crops.
        rows: (n,) each sample's row in `crops.npy`.
        of_right: (n,) whether a sample is the mirror image of a right side.
        studies: the studies whose errors may be drawn: those that the fold trains on.

    Raises:
        DataError: no error was measured in these studies.
    """

    def __init__(
        self,
        experiment: Experiment,
        crops: Path,
        *,
        rows: NDArray[np.int64],
        of_right: NDArray[np.bool_],
        studies: pl.Series,
    ) -> None:
        self._augment, self._of_right = experiment.augment, of_right
        self._margins, self._spare = experiment.crops.margins, experiment.slices.spare_slices
        places = list_places(experiment.slices)
        self._axial = np.array([place.part == Part.AXIAL for place in places])
        self._window_points = np.array([_window_point(place, experiment) for place in places])
        self._slice_points = np.array([_slice_point(place, experiment) for place in places])
        self._pixels_mm = _filled(  # (n, slots, 2)
            read_pixels_mm(crops, rows)[:, stored_places(experiment.slices)],
            [place.description for place in places],
        )
        self._errors: list[Floats] = []
        if "measured" in (self._augment.point_mm, self._augment.point_slices):
            errors = read_parquet(crops / ERRORS)
            self._errors = _measured(errors.filter(pl.col("study_id").is_in(studies.implode())))

    def __call__(self, place: int, seed: int) -> Move:
        """Return the move of a sample."""
        random = np.random.default_rng(seed)
        errors = self._draw(random)  # (points, 5): x, y, z in mm; sagittal, axial in slices
        if self._of_right[place]:  # the sample is the patient's mirror image
            errors = errors[_MIRRORED]
            errors[:, [0, 3]] *= -1
        x_mm, y_mm, z_mm = np.where(
            self._window_points == _NO_POINT, 0.0, errors[self._window_points, :3].T
        )
        right_mm, down_mm = np.where(self._axial, [x_mm, y_mm], [y_mm, -z_mm])
        right, down = np.rint(np.stack([right_mm, down_mm]) / self._pixels_mm[place].T)
        above, beside = self._margins
        across = errors[self._slice_points, np.where(self._axial, 4, 3)]
        # Slices are in order from the patient's left to the right, and from the head down.
        along = np.rint(np.where(self._slice_points == _NO_POINT, 0.0, -across))
        return Move(
            along=np.clip(along, -self._spare, self._spare).astype(np.int64),
            down=np.clip(down, -above, above).astype(np.int64),
            right=np.clip(right, -beside, beside).astype(np.int64),
        )

    def _draw(self, random: np.random.Generator) -> Floats:
        """Return the errors (points, 5): x, y, z in mm, and across sagittal and axial slices.

        The measured errors of a point are those of one level of one study. A fraction of a slice
        becomes a whole one with that probability: the true point lies anywhere between two slices.
        """
        points = len(CONDITIONS)
        chances, normal = random.random((points, 3)), random.normal(size=(points, 5))
        errors = np.zeros((points, 5))
        for columns, spread in (
            (slice(0, 3), self._augment.point_mm),
            (slice(3, 5), self._augment.point_slices),
        ):
            errors[:, columns] = self._of_spread(spread, columns, chances[:, 0], normal)
        if self._augment.point_slices == "measured":
            errors[:, 3:] += chances[:, 1:] - 0.5
        return errors

    def _of_spread(self, spread: Spread, columns: slice, chances: Floats, normal: Floats) -> Floats:
        if spread != "measured":
            return normal[:, columns] * spread
        drawn = [
            own[int(chance * len(own))] for own, chance in zip(self._errors, chances, strict=True)
        ]
        return np.stack(drawn)[:, columns]


def _window_point(place: Place, experiment: Experiment) -> int:
    """Return the number of the condition whose point a slot's window is centred on."""
    config, is_axial = experiment.crops, place.part == Part.AXIAL
    centre = config.axial_centre if is_axial else config.sagittal_centre
    if centre == "image":
        return _NO_POINT
    if centre == "level":
        return _CANAL
    if is_axial:  # a sample of one side shows it as the left one
        return CONDITIONS.index(Condition.LEFT_SUBARTICULAR_STENOSIS) if config.by_side else _CANAL
    return _foramen(place.part)


def _slice_point(place: Place, experiment: Experiment) -> int:
    """Return the number of the condition whose point a slot's slice is chosen by."""
    config = experiment.slices
    if place.part == Part.AXIAL:
        return _CANAL
    if config.sagittal in ("quantiles", "even") or config.origin == "scan":
        return _NO_POINT
    return _foramen(place.part) if config.sagittal == "landmark" else _CANAL


def _foramen(part: Part) -> int:
    """Return the number of the condition of a side part, or of the canal."""
    foramina = {
        condition.side: number
        for number, condition in enumerate(CONDITIONS)
        if condition.shown_on == SeriesDescription.SAGITTAL_T1
    }
    return foramina[_SIDES[part]] if part in _SIDES else _CANAL


def _measured(errors: pl.DataFrame) -> list[Floats]:
    """Return for each condition the errors (m, 5) that are drawn for its point."""
    near = errors.filter(pl.sum_horizontal(pl.col(name) ** 2 for name in _XYZ) <= LARGEST_MM**2)
    table = near.with_columns(pl.col(_ACROSS).fill_null(0.0))
    found = []
    for condition in CONDITIONS:
        own = table.filter(condition=str(condition)).select(*_XYZ, *_ACROSS).to_numpy()
        if not len(own):
            raise DataError(
                f"augment.point_mm or point_slices 'measured': no {condition} of the training "
                f"folds is predicted within {LARGEST_MM:g} mm of its annotation; give a number, or "
                "annotate such points"
            )
        found.append(own)
    return found


def _filled(pixels_mm: Floats, kinds: list[SeriesDescription]) -> Floats:
    """Return the size of pixels (n, slots, 2), that of other slots of a kind in empty ones."""
    filled = pixels_mm.copy()
    for kind in set(kinds):
        of_kind = np.array([each == kind for each in kinds])
        own = filled[:, of_kind]
        there = ~np.isnan(own)
        total = np.where(there, own, 0.0).sum(axis=1, keepdims=True)
        count = there.sum(axis=1, keepdims=True)
        mean = np.where(count > 0, total / np.maximum(count, 1), 1.0)
        filled[:, of_kind] = np.where(there, own, mean)
    return filled
