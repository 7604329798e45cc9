"""Make tables of slices with planted offsets, in the format of the sides stage."""

from collections.abc import Sequence

import polars as pl

from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.slices.choose import choose_slices
from lsdc.challenges.lumbar.slices.slots import list_places

T1, T2, AXIAL = "Sagittal T1", "Sagittal T2/STIR", "Axial T2"


def slices_at(
    description: str, offsets: Sequence[float], *, series: int = 1, group: int = 0
) -> pl.DataFrame:
    """Return the slices of one series and level, in the order of their instances."""
    return pl.DataFrame(
        {
            "split": "train",
            "study_id": 7,
            "series_id": series,
            "instance_number": range(1, len(offsets) + 1),
            "series_description": description,
            "level": "l4_l5",
            "offset_mm": pl.Series(offsets, dtype=pl.Float64),
            "left_offset_mm": pl.Series([None] * len(offsets), dtype=pl.Float64),
            "right_offset_mm": pl.Series([None] * len(offsets), dtype=pl.Float64),
            "x_px": 10.0,
            "y_px": 10.0,
            "height_mm": pl.Series(offsets, dtype=pl.Float64),
            "image_share": 0.5,
            "inside": True,
            "patient_left_is_image_right": True,
            "stack": pl.Series([group] * len(offsets), dtype=pl.Int32),
        }
    )


def chosen_offsets(table: pl.DataFrame, config: SlicesConfig) -> dict[int, float]:
    """Return the offset of the chosen slice in each filled slot."""
    chosen = choose_slices(table, config)
    return dict(zip(chosen["place"], chosen["offset_mm"], strict=True))


def by_name(
    table: pl.DataFrame, config: SlicesConfig, *, what: str = "offset_mm"
) -> dict[str, list[float | int | None]]:
    """Return a column of the chosen slices of each part, such as "T1 left"; None where masked."""
    chosen = choose_slices(table, config)
    found = dict(zip(chosen["place"], chosen[what], strict=True))
    parts: dict[str, list[float | int | None]] = {}
    for number, place in enumerate(list_places(config)):
        name = "axial" if place.part == "axial" else place.name
        parts.setdefault(name, []).append(found.get(number))
    return parts
