"""Content: how bright a series shows the canal, where the point models find it.

Fluid is brighter than vertebrae and discs on T2 and darker on T1. Between two levels, stenosis
hides it least. Axial slices may show the levels alone, and there the brighter ones count.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.annotations.patient_space import planes_of
from lsdc.challenges.lumbar.columns import LEVEL_NUMBER
from lsdc.challenges.lumbar.coordinates.learn import locate_points
from lsdc.challenges.lumbar.coordinates.moves import moved_back
from lsdc.challenges.lumbar.vocabulary import SeriesDescription
from lsdc.dicom.reader import Unreadable, read_pixels
from lsdc.predict.workplace import Workplace
from lsdc.store.exact_names import read_parquet
from lsdc.store.files import write_folder

Floats = NDArray[np.float64]

# From the canal to the middle of the vertebra or disc in front of it (LPS).
_IN_FRONT_MM = np.array([0.0, -22.0, 0.0])
_CANAL_RADIUS_MM, _BONE_RADIUS_MM = 3.0, 5.0
# A slice within this distance of a point shows it.
_REACH_MM = 8.0
_MEDIAN, _UPPER_QUARTILE = 0.5, 0.75
_XYZ = ["x_mm", "y_mm", "z_mm"]


def measure_fluid(
    instances: pl.DataFrame, models: Path, at: Workplace
) -> dict[tuple[int, int], float]:
    """Measure the brightness of the canal over that of the vertebrae or discs in front of it.

    Args:
        instances: the instances of one or more studies, used as any sagittal or axial kind.
        models: the folder of the point models.
        at: the workplace.

    Returns:
        The ratio of each (study, series): the median over the points on its images, the upper
        quartile if it is axial; none for a series without any point of the canal.

    Raises:
        StageError: a child process died.
    """
    with write_folder(at.folder) as out:
        locate_points(
            instances=instances,
            models=models,
            out=out,
            device=at.device,
            threads=at.threads,
            processes=at.threads,
            log=at.log,
            on_event=at.on_event,
        )
        points, moves = (read_parquet(out / f"{name}.parquet") for name in ("points", "moves"))
    images = moved_back(instances, moves)
    seen = points.filter(pl.col("source") != "filled").sort("study_id", LEVEL_NUMBER)
    probes = {study: own for (study,), own in seen.group_by("study_id")}
    found: dict[tuple[int, int], list[float]] = {}
    for series, ratio in _ratios(images, probes, at.threads):
        found.setdefault(series, []).append(ratio)
    axial = images.filter(used_as=str(SeriesDescription.AXIAL_T2)).select("study_id", "series_id")
    shares = dict.fromkeys(axial.unique().iter_rows(), _UPPER_QUARTILE)
    return {
        series: float(np.quantile(ratios, shares.get(series, _MEDIAN)))
        for series, ratios in found.items()
    }


def _ratios(
    images: pl.DataFrame, points: dict[int, pl.DataFrame], processes: int
) -> Iterator[tuple[tuple[int, int], float]]:
    """Yield a (study, series) and a ratio of brightness, for each point on one of its images."""
    rows: list[dict[str, object]] = []
    probes: list[Floats] = []
    for (study, _, used_as), series in images.group_by("study_id", "series_id", "used_as"):
        if study not in points:
            continue
        places = points[study].select(_XYZ).to_numpy()
        between = (places[1:] + places[:-1]) / 2
        is_axial = used_as == SeriesDescription.AXIAL_T2
        places = np.concatenate([places, between]) if is_axial else between
        planes = planes_of(series)
        for place in places:
            away = np.abs(planes.signed_distance(np.broadcast_to(place, (len(series), 3))))
            if away.min() <= _REACH_MM:
                rows.append(series.row(int(away.argmin()), named=True))
                probes.append(place)
    if not rows:
        return
    shown = pl.DataFrame(rows, schema=images.schema)
    planes = planes_of(shown)
    ends = np.stack([np.array(probes), np.array(probes) + _IN_FRONT_MM], axis=1)
    pixels = planes.to_pixel(ends)
    files = shown["path"].to_list(), shown["frame"].to_list()
    for number, image in read_pixels(*files, processes=processes):
        if isinstance(image, Unreadable):
            continue
        grey = image.rescaled()
        canal, bone = (
            _brightness(grey, at, radius_mm / planes.spacing_mm[number])
            for at, radius_mm in zip(
                pixels[number], (_CANAL_RADIUS_MM, _BONE_RADIUS_MM), strict=True
            )
        )
        if canal is not None and bone is not None:
            series_of = shown.row(number, named=True)
            yield (series_of["study_id"], series_of["series_id"]), (canal + 1e-6) / (bone + 1e-6)


def _brightness(grey: NDArray[np.float32], at: Floats, radius_px: Floats) -> float | None:
    """Return the median brightness around a pixel (x, y), above the darkest; None outside.

    Args:
        grey: (rows, columns).
        at: (2,) x and y.
        radius_px: (2,) the radius in rows and in columns.
    """
    rows, columns = grey.shape
    x, y = np.rint(at).astype(int)
    tall, wide = np.maximum(1, np.rint(radius_px)).astype(int)
    if not (0 <= x < columns and 0 <= y < rows):
        return None
    part = grey[max(0, y - tall) : y + tall + 1, max(0, x - wide) : x + wide + 1]
    return float(np.median(part) - grey.min())
