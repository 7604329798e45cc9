"""A prepared volume: the arrays of one fragment, mapped into memory.

    volume.npy      uint8 or uint16, (rows, columns, layers)
    mask.npy        bool, (rows, columns): where there is data
    labels.npy      bool, (rows, columns): ink; training fragments only
    fragment.json   `Form`

All layers of a pixel are neighbours, so a tile of n rows is n contiguous reads.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from lsdc.errors import DataError
from lsdc.store.files import write_text

Pixels = npt.NDArray[np.unsignedinteger[Any]]
Mask = npt.NDArray[np.bool_]

_Kind = TypeVar("_Kind", bound=np.generic)

PIXELS, MASK, LABELS, FORM = "volume.npy", "mask.npy", "labels.npy", "fragment.json"


@dataclass(frozen=True)
class Form:
    """The size of a volume and its type.

    Attributes:
        fragment: the fragment's name.
        rows, columns: the frame, in pixels.
        layers: the number of layers.
        bits: bits of a pixel, 8 or 16.
    """

    fragment: str
    rows: int
    columns: int
    layers: int
    bits: int

    def write(self, folder: Path) -> None:
        """Write it into a volume's folder."""
        write_text(folder / FORM, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, folder: Path) -> "Form":
        """Read the form of the volume in a folder.

        Raises:
            DataError: there is none.
        """
        try:
            return cls(**json.loads((folder / FORM).read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            raise DataError(
                f"{folder}: no prepared volume ({error}), expected {FORM} and {PIXELS}; prepare "
                "the volumes again"
            ) from error


@dataclass(frozen=True, eq=False)
class Volume:
    """The arrays of one fragment.

    Attributes:
        form: its size and type.
        pixels: (rows, columns, layers), mapped into memory; layer 0 is inside the papyrus.
        mask: (rows, columns), mapped into memory: where there is data.
        labels: (rows, columns), mapped into memory: ink; None in the test split.
    """

    form: Form
    pixels: Pixels
    mask: Mask
    labels: Mask | None

    @classmethod
    def open(cls, folder: Path) -> "Volume":
        """Map the arrays in a folder into memory.

        Raises:
            DataError: a file is missing, or its shape or type is not the one of `fragment.json`.
        """
        form = Form.read(folder)
        frame = form.rows, form.columns
        pixels = _map(folder / PIXELS, (*frame, form.layers), np.dtype(f"uint{form.bits}"))
        mask = _map(folder / MASK, frame, np.dtype(bool))
        has_labels = (folder / LABELS).is_file()
        labels = _map(folder / LABELS, frame, np.dtype(bool)) if has_labels else None
        return cls(form, pixels, mask, labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and layers."""
        return self.form.rows, self.form.columns, self.form.layers

    def tile(self, row: int, column: int, size: int) -> Pixels:
        """Return a copy of a square of pixels, (size, size, layers), 0 outside of the frame.

        Args:
            row: the first row; may be outside of the frame.
            column: the first column; may be outside of the frame.
            size: the side, in pixels.
        """
        return _cut(self.pixels, row, column, size)

    def mask_tile(self, row: int, column: int, size: int) -> Mask:
        """Return a copy of a square of the mask, (size, size), False outside of the frame."""
        return _cut(self.mask, row, column, size)

    def label_tile(self, row: int, column: int, size: int) -> Mask:
        """Return a copy of a square of the labels, (size, size), False outside of the frame.

        Raises:
            DataError: the fragment has no labels.
        """
        if self.labels is None:
            raise DataError(
                f"fragment {self.form.fragment}: no labels, expected a training fragment; use one"
            )
        return _cut(self.labels, row, column, size)


def _cut(array: npt.NDArray[_Kind], row: int, column: int, size: int) -> npt.NDArray[_Kind]:
    rows, columns = array.shape[:2]
    top, left = max(row, 0), max(column, 0)
    bottom, right = min(row + size, rows), min(column + size, columns)
    if (top, left, bottom, right) == (row, column, row + size, column + size):
        return np.array(array[top:bottom, left:right])
    out = np.zeros((size, size, *array.shape[2:]), dtype=array.dtype)
    if top < bottom and left < right:
        inside = array[top:bottom, left:right]
        out[top - row : bottom - row, left - column : right - column] = inside
    return out


def _map(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: cannot be mapped into memory ({error}); prepare the volumes again"
        ) from error
    if array.shape != shape or array.dtype != dtype:
        raise DataError(
            f"{path}: {array.dtype} {array.shape}, expected {dtype} {shape}; prepare the volumes "
            "again"
        )
    return array.view(np.ndarray)  # a memmap is slower to slice
