"""Pictures on the dark background that images are read on: colours, boxes, text, small files."""

import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

GROUND: Colour = (16, 16, 20)
ROOM: Colour = (24, 24, 29)  # background of the space for an image
RULE: Colour = (58, 58, 68)
DIM: Colour = (140, 140, 152)
BRIGHT: Colour = (228, 228, 232)
HEAT: Colour = (255, 40, 72)
LINE = 24  # line height of text
_MOST_OPAQUE = 0.5  # of a map's tint, so that the image below it stays visible
_MOST_BYTES = 60_000
_QUALITIES = (74, 60, 46, 32, 20)


@dataclass(frozen=True)
class Box:
    """A rectangle of a sheet, in whole pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The first column to the right of the box."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """The first row below the box."""
        return self.top + self.height

    @property
    def corners(self) -> tuple[int, int, int, int]:
        """The outermost pixels, in Pillow's order."""
        return self.left, self.top, self.right - 1, self.bottom - 1


@lru_cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own typeface, so that sheets look alike everywhere."""
    return ImageFont.load_default(size)


def write(
    sheet: Image.Image,
    at: tuple[float, float],
    text: str,
    *,
    size: int = 14,
    colour: Colour = BRIGHT,
    anchor: str = "la",
    halo: bool = False,
) -> None:
    """Write a line; `anchor` is Pillow's, `halo` is for text on images."""
    ImageDraw.Draw(sheet).text(
        at,
        text,
        fill=colour,
        font=font(size),
        anchor=anchor,
        stroke_width=2 if halo else 0,
        stroke_fill=(0, 0, 0),
    )


def tint(sheet: Image.Image, box: Box, heat: NDArray[np.float64]) -> None:
    """Tint a box by a map (rows, columns) from 0 to 1, smooth between the middles of its cells."""
    grey = Image.fromarray(np.clip(heat * 255 * _MOST_OPAQUE, 0, 255).astype(np.uint8))
    mask = grey.resize((box.width, box.height), Image.Resampling.BICUBIC)
    sheet.paste(HEAT, (box.left, box.top, box.right, box.bottom), mask)


def encode_webp(sheet: Image.Image) -> bytes:
    """Return the picture as WebP of at most about 60 kB, in the best quality that allows it."""
    for quality in _QUALITIES:
        file = io.BytesIO()
        sheet.save(file, format="WEBP", quality=quality, method=2)
        if file.tell() <= _MOST_BYTES:
            break
    return file.getvalue()
