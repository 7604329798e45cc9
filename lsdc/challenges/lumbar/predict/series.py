"""The series found in a folder: their geometry and the tags that tell their contrast."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.annotations.patient_space import planes_of
from lsdc.dicom_index.image_use import SAME_PLACE_MM
from lsdc.dicom_index.series_kinds import LARGEST_LEAN_DEGREES, OBLIQUE
from lsdc.messages import counted

Floats = NDArray[np.float64]

FEWEST_IMAGES = 3
# Slices of the spine are at most this far apart; those of localizers mostly farther.
WIDEST_STEP_MM = 10.0
# The least share of a series' images in its main plane. Localizers show several planes.
_MOST_OF_A_PLANE = 0.75
# How much of a lumbar spine a sagittal series has to show to count as whole: from head to feet, and
# from the left to the right foramina.
_WHOLE_HEIGHT_MM, _WHOLE_WIDTH_MM = 200.0, 50.0
_AXES = ("sagittal", "coronal", "axial")


@dataclass(frozen=True)
class FoundSeries:
    """A series as found in the files, whatever it shows.

    Attributes:
        study_id, series_id: as in the instances table.
        images: the number of usable images.
        plane: sagittal, coronal, axial, oblique or several.
        places: the number of different positions.
        step_mm: the median distance between neighbouring slices; None without any.
        width_mm: the distance from the first slice to the last along the normal.
        low_mm, high_mm: the lowest and the highest point that the images show (+z to the head).
        heights_mm: (images,) the heights of the images' centres.
        pixel_mm: the larger side of a pixel.
        echo_ms, repetition_ms: the median EchoTime and RepetitionTime; None if not given.
        image_type: the commonest word of ImageType; see `lsdc.dicom.terms.IMAGE_TYPES`.
    """

    study_id: int
    series_id: int
    images: int
    plane: str
    places: int
    step_mm: float | None
    width_mm: float
    low_mm: float
    high_mm: float
    heights_mm: Floats
    pixel_mm: float
    echo_ms: float | None
    repetition_ms: float | None
    image_type: str | None

    @property
    def coverage(self) -> float:
        """The share of a lumbar spine that a sagittal series shows, in steps of 0.1."""
        height = min(1.0, (self.high_mm - self.low_mm) / _WHOLE_HEIGHT_MM)
        return round(height * min(1.0, self.width_mm / _WHOLE_WIDTH_MM), 1)


def find_series(instances: pl.DataFrame, headers: pl.DataFrame) -> Iterator[FoundSeries]:
    """Yield the series of an index, study by study.

    Args:
        instances: the instances table.
        headers: path, repetition_time_ms and image_type of its files.
    """
    tagged = instances.join(
        headers.select("path", "repetition_time_ms", "image_type"),
        on="path",
        how="left",
        maintain_order="left",
    )
    by_series = tagged.group_by("study_id", "series_id", maintain_order=True)
    for (study, series), images in by_series:
        yield _describe(study, series, images)


def refuse(series: FoundSeries) -> str | None:
    """Return why a series cannot show the levels, or None if it may."""
    if series.image_type == "localizer":
        return "localizer, by ImageType"
    if series.plane == "several":
        return "slices in several planes, as in a localizer"
    if series.plane not in ("sagittal", "axial"):
        return f"{series.plane} slices"
    if series.places < FEWEST_IMAGES:
        many = counted(series.images, "image")
        where = counted(series.places, "position")
        where = "" if series.places == series.images else f" at {where}"
        return f"{many}{where}, expected at least {FEWEST_IMAGES} positions"
    if series.step_mm is not None and series.step_mm > WIDEST_STEP_MM:
        return f"slices {series.step_mm:.0f} mm apart, as in a localizer"
    return None


def _describe(study: int, series: int, images: pl.DataFrame) -> FoundSeries:
    planes = planes_of(images)
    across = np.abs(planes.normal)
    corners = images.select("columns", "rows").to_numpy()[:, None] * [
        [0, 0],
        [1, 0],
        [0, 1],
        [1, 1],
    ]
    corners_mm = planes.to_mm(corners - 0.5)
    middles_mm = corners_mm.mean(axis=1)
    gaps = _gaps(images)
    along = images["normal_position_mm"].to_numpy()
    return FoundSeries(
        study_id=study,
        series_id=series,
        images=len(images),
        plane=_plane(across),
        places=len(gaps) + images["orientation_group"].n_unique(),
        step_mm=float(np.median(gaps)) if len(gaps) else None,
        width_mm=float(along.max() - along.min()),
        low_mm=float(corners_mm[..., 2].min()),
        high_mm=float(corners_mm[..., 2].max()),
        heights_mm=middles_mm[:, 2],
        pixel_mm=float(np.median(planes.spacing_mm.max(axis=1))),
        echo_ms=_median(images["echo_time_ms"]),
        repetition_ms=_median(images["repetition_time_ms"]),
        image_type=_commonest(images["image_type"]),
    )


def _plane(across: Floats) -> str:
    """Return the plane of slices from the sizes of their normals' components (n, 3)."""
    axes = across.argmax(axis=1)
    main = int(np.bincount(axes, minlength=3).argmax())
    if (axes == main).mean() < _MOST_OF_A_PLANE:
        return "several"
    lean = float(np.median(across[:, main]))
    # Axial slices lean with their discs.
    least = np.cos(np.radians(LARGEST_LEAN_DEGREES)) if main == 2 else OBLIQUE
    return _AXES[main] if lean >= least else "oblique"


def _gaps(images: pl.DataFrame) -> Floats:
    """Return the distances in mm between neighbouring positions in groups of parallel slices."""
    along = images.sort("orientation_group", "normal_position_mm").select(
        pl.col("normal_position_mm").diff().over("orientation_group")
    )
    gaps = along.to_series().drop_nulls().to_numpy()
    apart: Floats = gaps[gaps > SAME_PLACE_MM]
    return apart


def _commonest(words: pl.Series) -> str | None:
    found = words.drop_nulls().mode().sort().to_list()
    return found[0] if found else None


def _median(values: pl.Series) -> float | None:
    found = values.drop_nulls().median()
    return float(found) if isinstance(found, int | float) else None
