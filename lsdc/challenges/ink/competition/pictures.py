"""Read masks and labels from PNG files of any kind.

A pixel is set if it is not black: 1 or 255 in a grey picture, true in one of 1 bit, any colour but
black in one of colours or with a palette. Transparency does not count.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngImageFile

from lsdc.errors import DataError

Mask = NDArray[np.bool_]

_BAND_ROWS = 512  # rows converted at a time: a picture in colours has 4 bytes a pixel
_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")


def picture_shape(path: Path) -> tuple[int, int]:
    """Return rows and columns of a PNG file, from its header.

    Raises:
        DataError: the file is missing or not a PNG file.
    """
    with _opened(path) as picture:
        return picture.height, picture.width


def picture_kind(path: Path) -> str:
    """Return Pillow's name of a PNG file's kind: "1", "L", "P", "RGB" and so on.

    Raises:
        DataError: the file is missing or not a PNG file.
    """
    with _opened(path) as picture:
        return str(picture.mode)


def read_mask(path: Path) -> Mask:
    """Read a mask or labels, (rows, columns), from a PNG file.

    Raises:
        DataError: the file is missing, not a PNG file, or damaged.
    """
    return np.concatenate(list(read_bands(path)))


def read_bands(path: Path) -> Iterator[Mask]:
    """Yield bands of rows of a mask or labels from the top, (rows, columns).

    The decoded picture is in memory: a byte a pixel, or four if it is in colours.

    Raises:
        DataError: the file is missing, not a PNG file, or damaged.
    """
    with _opened(path) as picture:
        picture.load()
        lit = _lit_indices(picture)
        for top in range(0, picture.height, _BAND_ROWS):
            end = min(top + _BAND_ROWS, picture.height)
            values = np.asarray(picture.crop((0, top, picture.width, end)))
            if lit is not None:
                values = lit[values[..., 0] if values.ndim == 3 else values]
            elif picture.mode in _ALPHA:
                values = values[..., :-1]
            yield np.any(values, axis=2) if values.ndim == 3 else values > 0


def _lit_indices(picture: PngImageFile) -> NDArray[np.bool_] | None:
    """Return which of 256 numbers are colours other than black; None without a palette."""
    if picture.mode not in ("P", "PA"):
        return None
    colours = np.array(picture.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
    lit = np.zeros(256, dtype=bool)
    lit[: len(colours)] = colours.any(axis=1)
    return lit


@contextmanager
def _opened(path: Path) -> Iterator[PngImageFile]:
    """Open a PNG file without Pillow's limit of pixels, which fragments exceed."""
    if not path.is_file():
        raise DataError(f"{path}: no such file, expected a PNG picture; copy it again")
    try:
        with PngImageFile(path) as picture:
            yield picture
    except (OSError, SyntaxError, ValueError) as error:  # SyntaxError: not a PNG file
        reason = str(error).strip() or type(error).__name__
        raise DataError(
            f"{path}: cannot be read as a PNG picture ({reason}); copy it again"
        ) from error
