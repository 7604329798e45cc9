"""Prepare slices: decode, convert, show and resize each image once, into one file for training.

`slices.npy` is (slices, channels, rows, columns) in uint8; `slices.parquet` has one row per slice.
The slices of a study are neighbours, in the order of their stack. Training maps the file into
memory, so that an epoch decodes nothing.
"""

import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dataframely as dy
import numpy as np
import numpy.typing as npt
import polars as pl

from lsdc.challenges.hemorrhage.config.slices import SlicesConfig
from lsdc.challenges.hemorrhage.slices.hounsfield import (
    LOWEST_HU,
    brain_share,
    mend,
    refuse,
    to_stored,
)
from lsdc.challenges.hemorrhage.slices.squares import background_box, fit_square
from lsdc.challenges.hemorrhage.slices.windows import Window, show, show_unstretched, windows_of
from lsdc.dicom.image import Image
from lsdc.dicom.reader import Unreadable, read_pixels
from lsdc.dicom_index.quarantine import Quarantine, log_bad_files
from lsdc.geometry.resample import one_thread
from lsdc.messages import counted
from lsdc.store.exact_names import read_parquet
from lsdc.store.npy_file import append_samples, join_files
from lsdc.store.table_files import write_table
from lsdc.tables.table import Table, real

log = logging.getLogger(__name__)

# (channels, rows, columns) of a slice
Channels = npt.NDArray[np.uint8]

SLICES = "slices.npy"
_ORDER = ("study_id", "series_id", "order", "image_id")
# Columns of the images table that are needed here and not kept.
_NEEDED = ("path", "bits_stored", "window_centers", "window_widths")


class Slices(Table):
    """One row per prepared slice. The slices of a study are neighbours, in their stack's order."""

    row = dy.Int32(primary_key=True, min=0, description="Row of slices.npy, from 0.")
    image_id = dy.String(description="Id of the image.")
    study_id = dy.String(description="Id of the study.")
    series_id = dy.String(description="Id of the series.")
    patient = dy.String(description="Digest of the patient's id.")
    order = dy.Int32(min=0, description="Place in the stack of the series, from 0.")
    along_mm = real("Position along the stack's normal, in mm.", nullable=True)
    step_mm = real("Distance to the next slice of the series, in mm.", nullable=True)
    content = dy.Float64(
        min=0, max=1, description="Share of the pixels with 0 to 80 HU, inside the field of view."
    )
    corrected = dy.String(
        nullable=True, description="What was mended in the pixels; null: nothing."
    )


_TABLES: dict[str, type[Table]] = {"slices": Slices, "quarantine": Quarantine}


def count_bytes(images: pl.DataFrame, config: SlicesConfig) -> int:
    """Return the size in bytes of all slices of these images."""
    return len(images) * math.prod(config.shape)


def prepare_shard(
    images: pl.DataFrame,
    config: SlicesConfig,
    out: Path,
    *,
    processes: int = 2,
    on_progress: Callable[[int, int], None] | None = None,
) -> int:
    """Prepare the slices of whole studies.

    Writes `slices.npy` and its tables (of unreadable files as well). `join_shards` joins several
    shards.

    Args:
        images: the images table of these studies.
        config: the settings of the slices.
        out: the folder to write to.
        processes: number of child processes that read pixels.
        on_progress: called with the number of studies done and their total.

    Returns:
        The number of slices; unreadable files have none.
    """
    images = images.sort(_ORDER)
    quarantined = list[dict[str, str | None]]()
    found = list[tuple[int, float, str | None]]()  # place in `images`, content, correction
    block = np.zeros(config.shape, dtype=np.uint8)
    report = _Report(images, on_progress)
    with one_thread(), append_samples(out / SLICES, len(images), config.shape, np.uint8) as append:
        headers = images.select(_NEEDED).iter_rows()
        for number, image in read_pixels(images["path"].to_list(), processes=processes):
            path, bits_stored, centers, widths = next(headers)
            reason = image.reason if isinstance(image, Unreadable) else refuse(image)
            if isinstance(image, Unreadable) or reason is not None:
                quarantined.append({"path": path, "stage": "slices", "reason": reason})
            else:
                mended, correction = mend(image, bits_stored)
                _prepare(mended, windows_of(config, centers, widths), config, block)
                append(block)
                found.append((number, brain_share(mended), correction))
                del mended
            del image  # frees its shared memory
            report.tell(number)
    tables = {
        "slices": _table(images, found),
        "quarantine": pl.DataFrame(quarantined, schema=pl.Schema(Quarantine)),
    }
    _write(tables, out)
    return len(found)


def join_shards(shards: Sequence[Path], out: Path, *, files: int) -> int:
    """Join the shards that `prepare_shard` wrote into one folder of the same files.

    The slices are moved, so that the shards cannot be used afterwards.

    Args:
        shards: the shards' folders, in the order of their study ids.
        out: an existing folder on the same disk as the shards.
        files: number of files in the images table.

    Returns:
        Number of slices written.
    """
    tables = {
        name: pl.concat([read_parquet(shard / f"{name}.parquet") for shard in shards])
        for name in _TABLES
    }
    log_bad_files("slices", tables["quarantine"], total=files)
    slices = tables["slices"].with_columns(row=pl.int_range(pl.len(), dtype=pl.Int32))
    for (what,), mended in slices.drop_nulls("corrected").group_by("corrected"):
        log.warning("slices: %s mended as %s", counted(len(mended), "slice"), what)
    join_files([shard / SLICES for shard in shards], out / SLICES)
    _write(tables | {"slices": slices}, out)
    return len(slices)


def _prepare(image: Image, windows: Sequence[Window], config: SlicesConfig, out: Channels) -> None:
    """Write the channels of a mended slice to `out`, (channels, px, px)."""
    shown_by = show_unstretched if config.stretch == "none" else show
    if config.stretch == "image":
        windows = [window.stretched(image) for window in windows]
    values = image.stored
    if config.crop == "background":
        values = values[background_box([shown_by(values, image, each) for each in windows])]
    square = fit_square(values, config.size_px, beyond=to_stored(LOWEST_HU, image))
    for window, channel in zip(windows, out, strict=True):
        shown_by(square, image, window, channel)


def _table(images: pl.DataFrame, found: list[tuple[int, float, str | None]]) -> pl.DataFrame:
    """Return the rows of the slices found, in the order of `images`."""
    schema = {"place": pl.UInt32, "content": pl.Float64, "corrected": pl.String}
    own = pl.DataFrame(found, schema=schema, orient="row")
    return (
        images[own["place"]]
        .with_columns(
            pl.col("order").cast(pl.Int32),
            *own.get_columns()[1:],
            row=pl.int_range(pl.len(), dtype=pl.Int32),
        )
        .select(Slices.column_names())
    )


class _Report:
    """Reports the number of studies of which every image was read."""

    def __init__(
        self, images: pl.DataFrame, on_progress: Callable[[int, int], None] | None
    ) -> None:
        last = images["study_id"] != images["study_id"].shift(-1)
        self._ends = set(last.fill_null(True).arg_true())
        self._done, self._on_progress = 0, on_progress

    def tell(self, number: int) -> None:
        """Report that an image was read, if it is its study's last."""
        if number in self._ends and self._on_progress is not None:
            self._done += 1
            self._on_progress(self._done, len(self._ends))


def _write(tables: dict[str, Any], out: Path) -> None:
    for name, table in tables.items():
        write_table(_TABLES[name], table, out / f"{name}.parquet")
