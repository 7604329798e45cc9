"""Checks of files: those that the index cannot use are listed by their reason."""

from dataclasses import replace

import polars as pl

from lsdc.challenges.lumbar.quality.doctor import examine
from lsdc.dicom_index.index import Index
from lsdc.dicom_index.quarantine import Quarantine


def test_files_without_position_and_unreadable_files_are_listed_apart(index: Index) -> None:
    files = [
        ("/tree/11/22/3.dcm", 11, 22, 3),
        ("/tree/11/22/4.dcm", 11, 22, 4),
        ("/tree/scan/IM0001", None, None, None),
    ]
    reasons = [
        "no usable ImagePositionPatient in the header",
        "no usable ImageOrientationPatient, PixelSpacing in the header",
        "pydicom: killed by SIGSEGV (dicomsdl: killed by SIGSEGV)",
    ]
    rows = [
        (path, "index", reason, 5000, 0, *ids)
        for (path, *ids), reason in zip(files, reasons, strict=True)
    ]
    quarantine = pl.DataFrame(rows, schema=pl.Schema(Quarantine), orient="row")
    report = examine(None, replace(index, quarantine=quarantine))
    lost = report.finding("files_without_position").rows
    assert lost.select("study_id", "series_id", "instance_number").rows() == [
        (11, 22, 3),
        (11, 22, 4),
    ]
    unusable = report.finding("unusable_files").rows
    assert unusable.select("study_id", "path").rows() == [(None, "/tree/scan/IM0001")]
