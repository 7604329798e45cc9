"""Read rows of pixels from the TIFF files of a fragment's layers.

Files of 8 or 16 bits are read, stored in strips or tiles, plain or compressed (LZW, deflate,
PackBits and whatever else tifffile and imagecodecs read). Only the strips or tiles that hold the
wanted rows are decoded.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from lsdc.challenges.ink.competition.tables import (
    MASK,
    Fragment,
    describe_shape,
    list_layers,
)
from lsdc.errors import DataError

Rows = npt.NDArray[np.unsignedinteger[Any]]

_DTYPES = (np.dtype(np.uint8), np.dtype(np.uint16))
_GREY = tifffile.PHOTOMETRIC.MINISBLACK
_COPY = "copy it again"


class DamagedLayerError(DataError):
    """The file of a layer cannot be decoded.

    Attributes:
        path: the file.
        what: what is wrong with it.
    """

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: the TIFF file is damaged ({what}); {_COPY}")
        self.path, self.what = path, what


@dataclass(frozen=True, eq=False)
class Layer:
    """An open TIFF file of one layer.

    Attributes:
        path: the file.
        shape: rows and columns.
        dtype: uint8 or uint16, in native byte order.
        segment_rows: the rows of a strip or tile, which are decoded together.
    """

    path: Path
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    segment_rows: int
    _page: tifffile.TiffPage

    @property
    def is_plain(self) -> bool:
        """Whether any row can be read without decoding others."""
        return self._page.is_contiguous and self._page.compression == tifffile.COMPRESSION.NONE

    def rows(self, first: int, end: int) -> Rows:
        """Read and decode rows of pixels, (end - first, columns).

        Raises:
            DamagedLayerError: the file is damaged.
        """
        if self.is_plain:
            return self._plain_rows(first, end)
        out = np.empty((end - first, self.shape[1]), dtype=self.dtype)
        for number in range(first // self.segment_rows, -(-end // self.segment_rows)):
            segment = self.segment_row(number)
            top = number * self.segment_rows
            start, stop = max(first, top), min(end, top + len(segment))
            out[start - first : stop - first] = segment[start - top : stop - top]
        return out

    def segment_row(self, number: int) -> Rows:
        """Decode the number-th strip or row of tiles, (segment_rows or fewer, columns).

        Raises:
            DamagedLayerError: the file is damaged.
        """
        rows = min(self.segment_rows, self.shape[0] - number * self.segment_rows)
        across = self._page.chunked[1]
        if across == 1:  # a strip may be a whole layer: it is not copied
            return self._segment(number, rows)[1]
        out = np.empty((rows, self.shape[1]), dtype=self.dtype)
        for index in range(number * across, (number + 1) * across):
            left, pixels = self._segment(index, rows)
            out[:, left : left + pixels.shape[1]] = pixels
        return out

    def _segment(self, index: int, rows: int) -> tuple[int, Rows]:
        """Decode a strip or tile: its first column, and its pixels within the frame."""
        segment, (_, _, _, left, _), _ = self._decode(index)
        pixels = segment[0, :rows, : self.shape[1] - left, 0]
        if len(pixels) < rows:
            raise self._damaged(f"strip or tile {index} is cut off")
        return left, np.ascontiguousarray(pixels, self.dtype)

    def _decode(self, index: int) -> tuple[Any, tuple[int, ...], tuple[int, ...]]:
        if index >= min(len(self._page.databytecounts), len(self._page.dataoffsets)):
            raise self._damaged(f"strip or tile {index} is not listed")
        size = self._page.databytecounts[index]
        file = self._page.parent.filehandle
        file.seek(self._page.dataoffsets[index])
        data = file.read(size)
        if not size or len(data) < size:
            raise self._damaged(f"strip or tile {index} has {len(data)} of {size} bytes")
        try:
            found: tuple[Any, Any, Any] = self._page.decode(data, index)
        except MemoryError:
            raise
        except Exception as error:  # each codec has errors of its own
            raise self._damaged(f"strip or tile {index}: {error}") from error
        if found[0] is None:
            raise self._damaged(f"strip or tile {index} is empty")
        return found

    def _plain_rows(self, first: int, end: int) -> Rows:
        stored = self.dtype.newbyteorder(self._page.parent.byteorder)
        columns = self.shape[1]
        offset = self._page.dataoffsets[0] + first * columns * stored.itemsize
        values = np.fromfile(self.path, stored, (end - first) * columns, offset=offset)
        if len(values) < (end - first) * columns:
            raise self._damaged(f"it ends at row {first + len(values) // columns}")
        return values.reshape(end - first, columns).astype(self.dtype, copy=False)

    def _damaged(self, what: str) -> DamagedLayerError:
        return DamagedLayerError(self.path, what)


@contextmanager
def open_layers(fragment: Fragment) -> Iterator[list[Layer]]:
    """Open all layers of a fragment, layer 0 first.

    Raises:
        DataError: a layer is missing, is not a grey TIFF file of 8 or 16 bits, or has another frame
            than the mask or another type than the first.
    """
    with ExitStack() as opened:
        layers = [opened.enter_context(open_layer(path)) for path in list_layers(fragment.folder)]
        for layer in layers:
            if layer.shape != fragment.shape:
                raise DataError(
                    f"{layer.path}: {describe_shape(layer.shape)}, expected "
                    f"{describe_shape(fragment.shape)} as in {MASK}; copy the fragment again"
                )
            if layer.dtype != layers[0].dtype:
                raise DataError(
                    f"{layer.path}: {layer.dtype}, expected {layers[0].dtype} as in "
                    f"{layers[0].path.name}; copy the fragment again"
                )
        yield layers


def require_frames(fragments: tuple[Fragment, ...]) -> None:
    """Refuse fragments whose layers cannot be read or differ in size; reads headers only.

    Raises:
        DataError: see `open_layers`.
    """
    for fragment in fragments:
        with open_layers(fragment):
            pass


@contextmanager
def open_layer(path: Path) -> Iterator[Layer]:
    """Open the TIFF file of one layer.

    Raises:
        DataError: it is missing, or is not a grey TIFF file of 8 or 16 bits.
    """
    with ExitStack() as opened:
        try:
            page = opened.enter_context(tifffile.TiffFile(path)).pages[0]
            assert isinstance(page, tifffile.TiffPage)  # the first page is never a frame
            segment_rows = min(page.chunks[0], page.shape[0])
            if segment_rows < 1:
                raise ValueError("strips or tiles without a row")
        except (OSError, IndexError, TypeError, ValueError, tifffile.TiffFileError) as error:
            raise DataError(f"{path}: cannot be read as a TIFF file ({error}); {_COPY}") from error
        dtype = None if page.dtype is None else page.dtype.newbyteorder("=")
        if page.ndim != 2 or dtype not in _DTYPES or page.photometric != _GREY:
            kind = getattr(page.photometric, "name", page.photometric)
            raise DataError(
                f"{path}: {dtype} {page.shape} ({kind}), expected a grey picture (MINISBLACK) of 8 "
                "or 16 bits a pixel; convert it"
            )
        assert dtype is not None
        yield Layer(path, (page.shape[0], page.shape[1]), dtype, segment_rows, page)
