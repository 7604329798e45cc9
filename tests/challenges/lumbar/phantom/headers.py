"""Headers of a phantom's training files, read with pydicom."""

from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError


def read_headers(phantom: Path) -> dict[tuple[str, str, str], pydicom.Dataset]:
    """Read the headers of the usable training files, by study, series and instance.

    Exactly two are unusable, the planted ones: an empty file and one of text, in one series.
    """
    headers, broken = {}, []
    for path in sorted((phantom / "train_images").rglob("*.dcm")):
        study, series = path.parts[-3:-1]
        try:
            headers[study, series, path.stem] = pydicom.dcmread(path, stop_before_pixels=True)
        except (InvalidDicomError, EOFError):
            broken.append(path)
    assert len(broken) == 2, broken
    assert len({path.parent for path in broken}) == 1, broken
    return headers
