"""Windows of crops: position in mm, size and rotation of a level's crop in each slice."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.annotations.patient_space import planes_of
from lsdc.challenges.lumbar.config.crops import CropsConfig
from lsdc.challenges.lumbar.coordinates.level_planes import level_normals
from lsdc.challenges.lumbar.vocabulary import Condition, SeriesDescription, Side
from lsdc.errors import DataError
from lsdc.geometry.planes import Planes
from lsdc.geometry.windows import own_direction, pixel_maps, shift_windows, window_planes

Floats = NDArray[np.float64]

_LEFT, _BACK, _FEET = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -1.0]])
# A crop is only tilted if the cosine between the level's and the slice's normals is below this.
_ACROSS = 0.5
_XYZ = ("x_mm", "y_mm", "z_mm")


def window_maps(
    chosen: pl.DataFrame, landmarks: pl.DataFrame | None, config: CropsConfig
) -> Floats:
    """Return the maps from each crop's pixels to its image's.

    Sagittal crops show the patient's back on the right and the feet below, axial crops the
    patient's left on the right and the back below, however the files store them. Axial crops of a
    right side (`side`) are mirrored, so that it appears where the left side does.

    Args:
        chosen: n rows of slices (`x_px, y_px`: the level point projected onto the slice) with
            `side`, null for both, and the columns of their instances.
        landmarks: the landmarks table, needed for tilted and landmark-centred windows.
        config: the windows' sizes and centres, `sagittal_offset` and `tilt`.

    Returns:
        (n, 2, 3) affine maps; see `lsdc.geometry.windows.pixel_maps`.

    Raises:
        DataError: landmarks are needed and not given.
    """
    centres = config.sagittal_centre, config.axial_centre
    if landmarks is None and (config.tilt or "landmark" in centres):
        raise DataError(
            "crops: tilted or landmark-centred windows need the landmarks table, got none; give "
            "the coordinates stage's landmarks.parquet"
        )
    images = planes_of(chosen)
    axial = (chosen["series_description"] == SeriesDescription.AXIAL_T2).to_numpy()[:, None]
    mirrored = np.where(chosen["side"].eq_missing(Side.RIGHT), -1.0, 1.0)[:, None]
    down = own_direction(images, np.where(axial, _BACK, _FEET))
    if config.tilt and landmarks is not None:
        down = _tilted(chosen, landmarks, images, down)
    windows = window_planes(
        images,
        _centres(chosen, landmarks, images, config),
        _sizes_mm(chosen, axial, config),
        config.shape,
        right=np.where(axial, _LEFT * mirrored, _BACK),
        down=down,
    )
    offset = np.where(axial, 0.0, config.sagittal_offset)
    return pixel_maps(images, shift_windows(windows, offset, config.shape))


def _sizes_mm(chosen: pl.DataFrame, axial: NDArray[np.bool_], config: CropsConfig) -> Floats:
    """Return the windows' widths and heights (n, 2) in mm; `axial` is (n, 1)."""
    longer = chosen.select(
        pl.max_horizontal(
            pl.col("rows") * pl.col("row_spacing_mm"),
            pl.col("columns") * pl.col("column_spacing_mm"),
        )
    )
    longer_mm = longer.to_numpy()  # (n, 1)
    sagittal_mm, axial_mm = (
        fraction * longer_mm if size_mm is None else np.reshape(size_mm, (1, -1))
        for fraction, size_mm in (
            (config.sagittal_window, config.sagittal_window_mm),
            (config.axial_window, config.axial_window_mm),
        )
    )
    sizes_mm: Floats = np.broadcast_to(np.where(axial, axial_mm, sagittal_mm), (len(axial), 2))
    return sizes_mm


def _centres(
    chosen: pl.DataFrame, landmarks: pl.DataFrame | None, images: Planes, config: CropsConfig
) -> Floats:
    """Return the windows' centres (n, 3) in mm."""
    is_axial = (chosen["series_description"] == SeriesDescription.AXIAL_T2).to_numpy()
    wanted = np.where(is_axial, config.axial_centre, config.sagittal_centre)[:, None]
    level = images.to_mm(chosen.select("x_px", "y_px").to_numpy())
    middle = images.to_mm((chosen.select("columns", "rows").to_numpy() - 1) / 2)
    centre = np.where(wanted == "image", middle, level)
    if landmarks is None:
        return centre
    own = np.where(
        is_axial[:, None],
        _axial_landmarks(chosen, landmarks),
        _sagittal_landmarks(chosen, landmarks, images),
    )
    return np.where((wanted == "landmark") & np.isfinite(own), own, centre)


def _sagittal_landmarks(chosen: pl.DataFrame, landmarks: pl.DataFrame, images: Planes) -> Floats:
    """Return the level's canal or foramen (n, 3), whichever is nearest to the slice."""
    sagittal = [str(each) for each in Condition if each.shown_on != SeriesDescription.AXIAL_T2]
    places = np.stack([_points(chosen, landmarks, pl.lit(kind)) for kind in sagittal])
    away = np.abs(np.stack([images.signed_distance(points) for points in places]))
    away[np.isnan(away)] = np.inf
    nearest: Floats = np.take_along_axis(places, away.argmin(axis=0)[None, :, None], axis=0)[0]
    return nearest


def _axial_landmarks(chosen: pl.DataFrame, landmarks: pl.DataFrame) -> Floats:
    """Return the subarticular zone (n, 3) of the sample's side, or the canal for both sides."""
    zone = pl.format("{}_subarticular_stenosis", "side")
    return _points(chosen, landmarks, pl.coalesce(zone, pl.lit(Condition.SPINAL_CANAL_STENOSIS)))


def _tilted(chosen: pl.DataFrame, landmarks: pl.DataFrame, images: Planes, down: Floats) -> Floats:
    """Return `down` (n, 3), turned along the spine where a slice shows its course."""
    points = landmarks.filter(condition=str(Condition.SPINAL_CANAL_STENOSIS))
    normals = chosen.select("study_id", "level").join(
        level_normals(points), on=["study_id", "level"], how="left", maintain_order="left"
    )
    normal = normals.select("normal_x", "normal_y", "normal_z").to_numpy()
    in_slice = np.abs(np.sum(normal * images.normal, axis=1)) < _ACROSS  # False where unknown
    return np.where(in_slice[:, None], -normal, down)


def _points(chosen: pl.DataFrame, landmarks: pl.DataFrame, condition: pl.Expr) -> Floats:
    """Return the landmark (n, 3) of each row's level for a condition, NaN where there is none."""
    key = ["study_id", "level", "condition"]
    found = chosen.select("study_id", "level", condition=condition).join(
        landmarks.select(*key, *_XYZ), on=key, how="left", maintain_order="left"
    )
    return found.select(_XYZ).to_numpy().astype(np.float64)
