"""Frames of crops: margins and spare slices that are stored for training to move windows.

Crops with `crops.margin` or `slices.spare_slices` have three more files: `frames.parquet` (one row
per sample), `frame.json` (where the windows lie in `crops.npy`) and `errors.parquet` (a
copy of the table `coordinates.errors.PointErrors`).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dataframely as dy
import numpy as np
import numpy.typing as npt
import polars as pl

from lsdc.challenges.lumbar.config.crops import CropsConfig
from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.slices.slots import list_stored, stored_places
from lsdc.store.exact_names import read_parquet
from lsdc.store.files import write_text
from lsdc.tables.table import Table
from lsdc.training.frames import Frame

FRAMES, FRAME, ERRORS = "frames.parquet", "frame.json", "errors.parquet"


class Frames(Table):
    """One row per sample of crops with margins or spare slices: its stored slots. The table exists
    only with crops.margin or slices.spare_slices.
    """

    row = dy.Int32(primary_key=True, min=0, description="Row of crops.npy, from 0.")
    kept = dy.List(
        dy.Bool(nullable=True),
        description="One value per stored slot, spare ones included: whether it holds a slice.",
    )
    width_mm = dy.List(
        dy.Float32(nullable=True),
        description="Width of a pixel in each stored slot; null in an empty slot.",
    )
    height_mm = dy.List(
        dy.Float32(nullable=True),
        description="Height of a pixel in each stored slot; null in an empty slot.",
    )


def has_frames(choice: SlicesConfig, config: CropsConfig) -> bool:
    """Return whether crops with these settings have margins or spare slices."""
    return config.margins != (0, 0) or choice.spare_slices > 0


def without_frames(choice: SlicesConfig, config: CropsConfig) -> tuple[SlicesConfig, CropsConfig]:
    """Return the settings of crops that are predicted: no margins, no spare slices."""
    return choice.model_copy(update={"spare_slices": 0}), config.model_copy(update={"margin": 0.0})


def frame_table(kept: npt.NDArray[np.bool_], pixels_mm: npt.NDArray[np.float32]) -> pl.DataFrame:
    """Return the table `Frames` of n samples.

    Args:
        kept: (n, stored) whether there is a slice in each stored slot.
        pixels_mm: (n, stored, 2) width and height of a pixel; NaN in an empty slot.
    """
    sizes = (pl.Series(pixels_mm[..., axis].tolist(), dtype=pl.List(pl.Float32)) for axis in (0, 1))
    width, height = (size.list.eval(pl.element().fill_nan(None)) for size in sizes)
    return pl.DataFrame(
        {
            "row": pl.int_range(len(kept), dtype=pl.Int32, eager=True),
            "kept": pl.Series(kept.tolist(), dtype=pl.List(pl.Boolean)),
            "width_mm": width,
            "height_mm": height,
        }
    )


def write_frame(choice: SlicesConfig, config: CropsConfig, out: Path) -> None:
    """Write `frame.json`: the shape of a shown crop, and the stored slots and those of a sample."""
    stored = len(list_stored(choice))
    frame = {"shape": config.shape, "stored": stored, "slots": stored_places(choice)}
    write_text(out / FRAME, json.dumps(frame))


def read_frame(crops: Path, rows: npt.NDArray[np.int64]) -> Frame | None:
    """Return the frame of some rows of `crops.npy`; None if these are stored as they are shown."""
    if not (crops / FRAME).is_file():
        return None
    frame = json.loads((crops / FRAME).read_text(encoding="utf-8"))
    kept = read_parquet(crops / FRAMES, columns=["kept"])["kept"].to_list()
    of_all = np.array(kept, dtype=bool).reshape(len(kept), frame["stored"])
    height, width = frame["shape"]
    return Frame((height, width), np.array(frame["slots"], dtype=np.int64), of_all[rows])


def read_pixels_mm(crops: Path, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return (n, stored, 2) the width and the height of a pixel in each stored slot, NaN if empty.

    Args:
        crops: a folder that has `frames.parquet`.
        rows: (n,) rows of `crops.npy`.
    """
    table = read_parquet(crops / FRAMES)[rows]
    sizes = [np.array(table[name].to_list(), dtype=float) for name in ("width_mm", "height_mm")]
    return np.stack(sizes, axis=-1)


def show_crops(crops: Path, rows: Sequence[int], mask: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """Return (n, slots, height, width), rows of `crops.npy` as a model sees them.

    Args:
        crops: the folder of the crops.
        rows: n rows of `crops.npy`.
        mask: (n, slots) which slots hold a slice.
    """
    stored = np.load(crops / "crops.npy", mmap_mode="r")
    frame = read_frame(crops, np.array(rows, dtype=np.int64))
    if frame is None:
        shown: npt.NDArray[Any] = stored[list(rows)]
        return shown
    return np.stack(
        [frame.show(stored[row], mask[place], place)[0] for place, row in enumerate(rows)]
    )
