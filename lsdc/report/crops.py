"""A study's crops on one sheet."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from lsdc.errors import DataError
from lsdc.experiments.config import SlicesConfig
from lsdc.lumbar.slice_places import list_places
from lsdc.report.montage import write_montage


def write_study_sheet(study: int, crops: Sequence[Path], config: SlicesConfig, out: Path) -> None:
    """Write a PNG with a row a level and the slices in the order that the model sees them.

    Args:
        study: the study's id.
        crops: folders with crops.npy and samples.parquet; the study may be in any of them.
        config: which slices they show.
        out: the PNG.

    Raises:
        DataError: the study is in none of them.
    """
    for folder in crops:
        samples = pl.read_parquet(folder / "samples.parquet").filter(study_id=study)
        if len(samples):
            images = np.load(folder / "crops.npy", mmap_mode="r")[samples["row"].to_numpy()]
            write_montage(
                images if images.dtype == np.uint8 else (images >> 8).astype(np.uint8),
                np.array(samples["mask"].to_list()),
                out,
                row_names=[level.upper().replace("_", "/") for level in samples["level"]],
                column_names=[place.name for place in list_places(config)],
            )
            return
    raise DataError(f"study {study}: no crops of it among {', '.join(map(str, crops))}")
