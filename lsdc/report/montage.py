"""Montages: many small images on one sheet, with words at the edges."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

_EDGE_LEFT, _EDGE_TOP, _GAP = 90, 22, 2
_BACKGROUND, _INK, _MISSING = (18, 18, 22), (235, 235, 235), (70, 26, 26)


def write_montage(
    images: npt.NDArray[np.uint8],
    mask: npt.NDArray[np.bool_],
    out: Path,
    *,
    row_names: Sequence[str],
    column_names: Sequence[str],
) -> None:
    """Write a sheet of images as PNG; places without an image are dark red.

    Args:
        images: (rows, columns, size, size).
        mask: (rows, columns), whether there is an image.
        out: the PNG.
        row_names: at the left.
        column_names: at the top.
    """
    rows, columns, size, _ = images.shape
    step = size + _GAP
    sheet = Image.new("RGB", (_EDGE_LEFT + columns * step, _EDGE_TOP + rows * step), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for column, name in enumerate(column_names):
        draw.text((_EDGE_LEFT + column * step + 2, 5), name, fill=_INK)
    for row, name in enumerate(row_names):
        draw.text((5, _EDGE_TOP + row * step + size // 2 - 6), name, fill=_INK)
        for column in range(columns):
            corner = (_EDGE_LEFT + column * step, _EDGE_TOP + row * step)
            if mask[row, column]:
                sheet.paste(Image.fromarray(images[row, column]), corner)
            else:
                draw.rectangle((*corner, corner[0] + size - 1, corner[1] + size - 1), _MISSING)
    sheet.save(out, format="PNG")
