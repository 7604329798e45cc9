"""Call the reader with any paths and return the results in the order of the files."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil

from lsdc.dicom.header_table import Formats, Headers
from lsdc.dicom.headers import Format, Header, read_with_pydicom
from lsdc.dicom.names import escape_name
from lsdc.dicom.preflight import open_dicom
from lsdc.dicom.reader import Unreadable, read_headers, read_pixels
from tests.dicom.conftest import WriteDicom

PYTHON = [sys.executable, "-P", "-c"]
AnyPath = str | bytes | os.PathLike[str]
# The format of an RLE file by `write_dicom`, with these ids and this echo time.
AXIAL = Format(
    rows=24,
    columns=16,
    samples_per_pixel=1,
    bits_allocated=16,
    bits_stored=16,
    high_bit=15,
    pixel_representation=0,
    photometric="MONOCHROME2",
    patient_position="HFS",
    study_id=100206310,
    series_id=42,
    study_name=None,
    series_name=None,
    modality=None,
    patient=None,
    transfer_syntax="1.2.840.10008.1.2.5",
    sop_class="1.2.840.10008.5.1.4.1.1.4",
    image_orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    pixel_spacing=(0.75, 0.5),
    number_of_frames=None,
    echo_time=102.5,
    repetition_time=3500.0,
    image_type="original",
    rescale_intercept=None,
    rescale_slope=None,
    window_centers=None,
    window_widths=None,
    frames=None,
)


def copies(write_dicom: WriteDicom, count: int) -> list[Path]:
    """Write `count` files with different instance numbers."""
    template = write_dicom("template", InstanceNumber=99999999)
    content = template.read_bytes()
    paths = [template.with_name(f"{n}.dcm") for n in range(count)]
    for n, path in enumerate(paths):
        path.write_bytes(content.replace(b"99999999", b"%8d" % n))
    template.unlink()
    return paths


def children() -> list[psutil.Process]:
    """Return the child processes that read files, not the servers that other tests started."""
    return [child for child in psutil.Process().children(recursive=True) if _reads(child)]


def _reads(process: psutil.Process) -> bool:
    """Return whether it is a child of the reader; one that has just ended counts, too."""
    try:
        return "lsdc.dicom.child" in process.cmdline()
    except psutil.NoSuchProcess:
        return True


def read_rows(paths: Sequence[AnyPath], **options: Any) -> pl.DataFrame:
    """Return the rows of `Headers`, one per file, in the order of the files."""
    names = [escape_name(path) for path in paths]
    tables: list[pl.DataFrame] = []
    read_headers(names, tables.append, **options)
    rows = pl.concat(tables)
    assert rows.schema == pl.Schema(Headers)
    assert sorted(rows["path"]) == sorted(names)
    order = pl.DataFrame({"path": names}, schema={"path": pl.String}).with_columns(
        turn=pl.int_range(pl.len())
    )
    # A file may be given twice: its rows are equal.
    return order.join(rows.unique("path"), on="path", how="left").sort("turn").drop("turn")


def read_all(paths: Sequence[AnyPath], **options: Any) -> list[Header | Unreadable]:
    """Return for each file its header, or why it is unreadable."""
    return [outcome_of(row) for row in read_rows(paths, **options).iter_rows(named=True)]


def outcome_of(row: dict[str, Any]) -> Header | Unreadable:
    """Return a row of `Headers` as the type that readers return."""
    if row["reason"] is not None:
        return Unreadable(row["reason"])
    form = Format._make(_plain(row[name]) for name in Formats.column_names())
    position = _plain(row["position_mm"])
    return Header(form, row["instance_number"], position, row["instance_checksum"])


def by_pydicom(path: AnyPath) -> Header:
    """Return the header by the second reader, in this process: pydicom does not crash."""
    with open_dicom(os.fsencode(path)) as file:
        return read_with_pydicom(file)


def images_by_index(
    paths: Sequence[AnyPath], **options: Any
) -> Iterator[tuple[int, np.ndarray | Unreadable]]:
    """Yield the results of `read_pixels` for any paths, with rescaled images."""
    for number, image in read_pixels([escape_name(path) for path in paths], **options):
        yield number, image if isinstance(image, Unreadable) else image.rescaled()


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
