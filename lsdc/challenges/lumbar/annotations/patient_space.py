"""Patient space: planes of instances, and annotations as points on them (LPS, mm)."""

import polars as pl

from lsdc.challenges.lumbar.vocabulary import Condition
from lsdc.geometry.planes import Planes

_INSTANCE = ["study_id", "series_id", "instance_number"]
_POINT = [*_INSTANCE, "condition", "level"]
_AXES = ["x_mm", "y_mm", "z_mm"]


def planes_of(instances: pl.DataFrame) -> Planes:
    """Return the planes of the instances, in their order; empty for an empty table."""
    return Planes.from_dicom(
        instances["position_mm"].to_numpy().reshape(-1, 3),
        instances["orientation"].to_numpy().reshape(-1, 6),
        instances.select("row_spacing_mm", "column_spacing_mm").to_numpy(),
    )


def place_annotations(instances: pl.DataFrame, annotations: pl.DataFrame) -> pl.DataFrame:
    """Add each annotation's point in mm (`x_mm, y_mm, z_mm`); drop those without a usable file."""
    images = instances.unique(_INSTANCE, keep="first", maintain_order=True)
    placed = annotations.join(images, on=_INSTANCE, how="inner", maintain_order="left")
    mm = planes_of(placed).to_mm(placed.select("x_px", "y_px").to_numpy())
    return placed.select(
        "split",
        *_INSTANCE,
        "condition",
        "level",
        *(pl.Series(f"{axis}_mm", mm[:, number]) for number, axis in enumerate("xyz")),
    )


def with_position(annotations: pl.DataFrame, instances: pl.DataFrame | None) -> pl.DataFrame:
    """Add x_mm, y_mm, z_mm to the annotations, null where their image is not indexed."""
    if instances is None:
        nowhere = pl.lit(None, dtype=pl.Float64)
        return annotations.with_columns(nowhere.alias(axis) for axis in _AXES)
    placed = place_annotations(instances, annotations).unique(_POINT, keep="first")
    return annotations.join(
        placed.select(*_POINT, *_AXES), on=_POINT, how="left", maintain_order="left"
    )


def beside_canal(annotations: pl.DataFrame, instances: pl.DataFrame) -> pl.DataFrame:
    """Return placed annotations of levels with a canal point, and their offsets from it.

    Returns:
        ids, condition, level, left_mm (positive to the patient's left of the canal point) and
        up_mm (positive above it).
    """
    placed = place_annotations(instances, annotations)
    canal = placed.filter(condition=str(Condition.SPINAL_CANAL_STENOSIS)).unique(
        ["study_id", "level"], keep="first", maintain_order=True
    )
    return placed.join(
        canal.select("study_id", "level", canal_x_mm="x_mm", canal_z_mm="z_mm"),
        on=["study_id", "level"],
        how="inner",
        maintain_order="left",
    ).select(
        *_POINT,
        left_mm=pl.col("x_mm") - pl.col("canal_x_mm"),
        up_mm=pl.col("z_mm") - pl.col("canal_z_mm"),
    )
