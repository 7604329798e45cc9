"""Motion: find slices that are shifted by patient motion against the others of their stack."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar import columns
from lsdc.dicom.image import Image
from lsdc.geometry.planes import normal_positions
from lsdc.geometry.shifts import stack_shifts
from lsdc.tables.table import Table, real


class Motion(Table):
    """One row per slice that is shifted because the patient moved during the series. The table
    exists only with crops.motion = find or correct.
    """

    study_id = columns.study()
    series_id = columns.series()
    instance_number = columns.image()
    shift_x_mm = real("How far the slice is shifted to the right in the image.")
    shift_y_mm = real("How far the slice is shifted down in the image.")


def find_motion(files: pl.DataFrame, images: Sequence[Image | None]) -> NDArray[np.float64]:
    """Measure the in-plane shift of each slice against its stack.

    Args:
        files: k rows of the instances table, in any order.
        images: the images of these files, None for unreadable ones.

    Returns:
        Shifts (k, 2) in mm along x_px and y_px; see `lsdc.geometry.shifts.stack_shifts`.
    """
    shifts = np.zeros((len(files), 2))
    shapes = [image.stored.shape if image is not None else (0, 0) for image in images]
    stacks = files.select("series_id", "orientation_group").with_columns(
        rows=pl.Series([rows for rows, _ in shapes]),
        columns=pl.Series([columns for _, columns in shapes]),
    )
    labels = stacks.select(pl.struct(pl.all()).rank("dense")).to_series().to_numpy()
    along = normal_positions(
        files["position_mm"].to_numpy().reshape(-1, 3),
        files["orientation"].to_numpy().reshape(-1, 6),
        groups=labels,
    )
    spacing_mm = files.select("row_spacing_mm", "column_spacing_mm").rows()
    for label in np.unique(labels):
        stack = np.flatnonzero(labels == label)
        stack = stack[np.argsort(along[stack], kind="stable")]
        shown = [image.rescaled() for at in stack if (image := images[int(at)]) is not None]
        if shown:
            shifts[stack] = stack_shifts(shown, along[stack], spacing_mm[stack[0]])
    return shifts


def motion_table(files: pl.DataFrame, shifts_mm: NDArray[np.float64]) -> pl.DataFrame:
    """Return one row (`Motion`) per shifted slice."""
    return files.select(
        "study_id",
        "series_id",
        "instance_number",
        shift_x_mm=pl.Series(shifts_mm[:, 0]),
        shift_y_mm=pl.Series(shifts_mm[:, 1]),
    ).filter((pl.col("shift_x_mm") != 0) | (pl.col("shift_y_mm") != 0))
