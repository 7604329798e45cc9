"""Places: instances as planes in patient space, and annotations as points on them."""

import polars as pl

from lsdc.geometry.planes import Planes

_INSTANCE = ["study_id", "series_id", "instance_number"]


def planes_of(instances: pl.DataFrame) -> Planes:
    """The planes of the instances, in their order; none for none."""
    return Planes.from_dicom(
        instances["position_mm"].to_numpy().reshape(-1, 3),
        instances["orientation"].to_numpy().reshape(-1, 6),
        instances.select("row_spacing_mm", "column_spacing_mm").to_numpy(),
    )


def place_annotations(instances: pl.DataFrame, annotations: pl.DataFrame) -> pl.DataFrame:
    """Annotations with their point in mm (`x_mm, y_mm, z_mm`); those on no usable file drop out."""
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
