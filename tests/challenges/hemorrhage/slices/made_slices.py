"""Write small slices as the competition's files are, and the images table that lists them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from lsdc.challenges.hemorrhage.config.slices import SlicesConfig
from lsdc.challenges.hemorrhage.slices.prepare import join_shards, prepare_shard

SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "path": pl.String,
    "image_id": pl.String,
    "study_id": pl.String,
    "series_id": pl.String,
    "patient": pl.String,
    "bits_stored": pl.Int64,
    "window_centers": pl.List(pl.Float64),
    "window_widths": pl.List(pl.Float64),
    "along_mm": pl.Float64,
    "step_mm": pl.Float64,
    "order": pl.Int64,
}


def write_slice(
    path: Path,
    stored: np.ndarray,
    *,
    bits: int = 16,
    syntax: UID = ExplicitVRLittleEndian,
    **tags: Any,
) -> Path:
    """Write a slice of stored values (rows, columns); their dtype gives sign and BitsAllocated."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax.is_encapsulated else syntax
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, UID("1.2.3")
    dataset = FileDataset(
        str(path),
        Dataset(),
        file_meta=meta,
        preamble=bytes(128),
        is_implicit_VR=syntax.is_implicit_VR,
        is_little_endian=syntax.is_little_endian,
    )
    dataset.Modality = "CT"
    dataset.SOPInstanceUID = "1.2.3"
    dataset.ImagePositionPatient = [-125, -100, 40]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [0.5, 0.5]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated = 8 * stored.dtype.itemsize
    dataset.BitsStored = min(bits, dataset.BitsAllocated)
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.WindowCenter, dataset.WindowWidth = "40", "80"
    dataset.RescaleIntercept, dataset.RescaleSlope = "-1024", "1"
    order = stored.dtype.newbyteorder("<" if syntax.is_little_endian else ">")
    dataset.PixelData = stored.astype(order).tobytes()
    dataset["PixelData"].VR = "OB" if stored.dtype.itemsize == 1 else "OW"
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    if syntax.is_encapsulated:
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.save_as(path, enforce_file_format=True)
    return path


def list_images(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Return the columns of the images table that are used here; missing ones get a value."""
    usual = {
        "series_id": "ID_series",
        "patient": "0123456789abcdef",
        "bits_stored": 16,
        "window_centers": [40.0],
        "window_widths": [80.0],
        "along_mm": 0.0,
        "step_mm": None,
    }
    return pl.DataFrame([usual | row for row in rows], schema=SCHEMA)


def prepare_slices(
    images: pl.DataFrame, config: SlicesConfig, out: Path, *, processes: int = 2
) -> tuple[np.ndarray, pl.DataFrame]:
    """Prepare slices as the stage does, in one shard; return `slices.npy` and `slices.parquet`."""
    shard = out / "shard"
    shard.mkdir(parents=True)
    prepare_shard(images, config, shard, processes=processes)
    join_shards([shard], out, files=len(images))
    return np.load(out / "slices.npy"), pl.read_parquet(out / "slices.parquet")
