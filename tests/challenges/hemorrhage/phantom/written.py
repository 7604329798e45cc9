"""Read a written phantom without the phantom's code."""

import csv
import hashlib
from collections import defaultdict
from pathlib import Path

import numpy as np
import pydicom
from pydicom.config import disable_value_validation

Headers = dict[str, list[pydicom.Dataset]]  # by study, in order of their files' names


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def read_files(root: Path, split: str = "train") -> Headers:
    """Read all files of a split with their pixels, by study."""
    found: Headers = defaultdict(list)
    with disable_value_validation():
        for path in sorted((root / f"stage_2_{split}_images").iterdir()):
            dataset = pydicom.dcmread(path)
            assert len([element.value for element in dataset]) == len(dataset)  # converts them
            assert path.name == f"{dataset.SOPInstanceUID}.dcm"
            found[str(dataset.StudyInstanceUID)].append(dataset)
    return found


def normal_of(dataset: pydicom.Dataset) -> np.ndarray:
    """Return the unit vector across the image, LPS."""
    direction = np.array(dataset.ImageOrientationPatient, dtype=float)
    return np.cross(direction[:3], direction[3:])


def position_of(dataset: pydicom.Dataset) -> np.ndarray:
    return np.array(dataset.ImagePositionPatient, dtype=float)


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
