"""Make simple series, with annotations or with a bright spot."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from lsdc.challenges.lumbar.vocabulary import LEVELS
from tests.challenges.lumbar.planned import used

XYZ = ["x_mm", "y_mm", "z_mm"]


def sagittal_instances(count: int = 9, **changes: Any) -> pl.DataFrame:
    """Return instances of one T2 series: slices 5 mm apart, rows 2 mm and columns 1 mm apart."""
    rows = [
        {
            "split": "train",
            "study_id": 1,
            "series_id": 11,
            "instance_number": k,
            "series_description": "Sagittal T2/STIR",
            "path": "",
            "frame": 1,
            "rows": 100,
            "columns": 80,
            "row_spacing_mm": 2.0,
            "column_spacing_mm": 1.0,
            "position_mm": [20.0 - 5.0 * k, -40.0, 90.0],
            "orientation": [0.0, 1.0, 0.0, 0.0, 0.0, -1.0],
        }
        | changes
        for k in range(count)
    ]
    arrays = {"position_mm": pl.Array(pl.Float64, 3), "orientation": pl.Array(pl.Float64, 6)}
    return used(pl.DataFrame(rows, schema_overrides=arrays))


def annotations_of(rows: list[tuple[int, str, str, float, float]]) -> pl.DataFrame:
    table = pl.DataFrame(
        rows, schema=["instance_number", "condition", "level", "x_px", "y_px"], orient="row"
    )
    return table.with_columns(study_id=pl.lit(1), series_id=pl.lit(11))


CANAL = [
    (4, "spinal_canal_stenosis", str(level), 30.0, 10.0 + 17 * k) for k, level in enumerate(LEVELS)
]


def write_slice(path: Path, image: np.ndarray) -> None:
    """Write a minimal DICOM file with readable pixels; the geometry comes from the index."""
    file = pydicom.Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.MediaStorageSOPClassUID = file.SOPClassUID = MRImageStorage
    file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID = generate_uid()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.Rows, file.Columns = image.shape
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 16, 15, 0
    file.PixelData = image.astype("<u2").tobytes()
    file.save_as(path, enforce_file_format=True)


def series_with_a_spot(
    folder: Path, spot_mm: np.ndarray, series: list[dict[str, Any]]
) -> pl.DataFrame:
    """Write slices that are bright within 12 mm of `spot_mm`, fading slowly; return instances."""
    table = pl.concat(sagittal_instances(1, **each, path=str(k)) for k, each in enumerate(series))
    rows = []
    for k, row in enumerate(table.iter_rows(named=True)):
        orientation, position = np.array(row["orientation"]), np.array(row["position_mm"])
        y, x = np.indices((row["rows"], row["columns"]))
        places = (
            position
            + (x * row["column_spacing_mm"])[..., None] * orientation[:3]
            + (y * row["row_spacing_mm"])[..., None] * orientation[3:]
        )
        squared = ((places - spot_mm) ** 2).sum(axis=-1)
        write_slice(folder / f"{k}.dcm", 300 + 40_000 * np.exp(-squared / (2 * 6.0**2)))
        rows.append(row | {"path": str(folder / f"{k}.dcm")})
    return pl.DataFrame(rows, schema=table.schema)


def turned(degrees: float) -> list[float]:
    """Return the orientation of a sagittal slice turned about the patient's long axis."""
    angle = np.deg2rad(degrees)
    return [float(np.sin(angle)), float(np.cos(angle)), 0.0, 0.0, 0.0, -1.0]


GEOMETRIES = {
    "plain": [{"position_mm": [20.0 - 5 * k, -40.0, 90.0]} for k in range(9)],
    "from right to left": [{"position_mm": [-20.0 + 5 * k, -40.0, 90.0]} for k in range(9)],
    "finer than the grid": [
        {"position_mm": [20.0 - 5 * k, -40.0, 90.0], "rows": 400, "row_spacing_mm": 0.5}
        for k in range(9)
    ],
    "coarser than the grid": [
        {
            "position_mm": [20.0 - 5 * k, -40.0, 90.0],
            "rows": 40,
            "columns": 16,
            "row_spacing_mm": 5.0,
            "column_spacing_mm": 5.0,
        }
        for k in range(9)
    ],
    "larger than the field": [
        {"position_mm": [20.0 - 5 * k, -40.0, 200.0], "rows": 200} for k in range(9)
    ],
    "mixed shapes": [
        {"position_mm": [20.0 - 5 * k, -40.0 - k, 90.0], "rows": 90 + k, "columns": 70 + 2 * k}
        for k in range(9)
    ],
    "oblique": [
        {
            "position_mm": [
                (20.0 - 5 * k) * np.cos(0.2) - 40 * np.sin(0.2),
                -(20.0 - 5 * k) * np.sin(0.2) - 40 * np.cos(0.2),
                90.0,
            ],
            "orientation": turned(np.rad2deg(0.2)),
        }
        for k in range(9)
    ],
}
