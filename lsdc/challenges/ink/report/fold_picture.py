"""The picture of folds: the fragments side by side, each region in the colour of its fold."""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from lsdc.report.drawing import BRIGHT, GROUND, ROOM, Colour, write

Mask = NDArray[np.bool_]

# In pixels of the picture.
_PICTURE_ROWS, _LEAST_WIDTH, _MARGIN = 480, 110, 20
_DARKER = 0.45  # of the gap
_COLOURS: tuple[Colour, ...] = (
    (58, 98, 150),
    (150, 96, 46),
    (62, 124, 84),
    (132, 70, 122),
    (128, 120, 58),
    (60, 122, 132),
    (150, 74, 74),
    (96, 90, 150),
)


def draw_folds(
    regions: pl.DataFrame,
    folds: pl.DataFrame,
    pictures: Mapping[str, tuple[Mask, Mask | None]],
    gap_px: int,
) -> Image.Image:
    """Draw the training fragments side by side: the mask in the colour of its fold, ink on it.

    Between regions of different folds, the rows that training on one of them must not touch are
    darker.

    Args:
        regions: `Regions`.
        folds: `Folds`.
        pictures: of each fragment with a fold, its mask and its labels, (rows, columns) each.
        gap_px: the gap, in rows of the fragment.

    Returns:
        A picture of all fragments in one scale, on the dark ground of reports.
    """
    placed = regions.join(folds, on="region", maintain_order="left")
    fragments = placed["fragment"].unique(maintain_order=True).to_list()
    tallest = max(pictures[name][0].shape[0] for name in fragments)
    scale = min(1.0, _PICTURE_ROWS / tallest)
    drawn = [
        _draw_fragment(placed.filter(fragment=name), *pictures[name], gap_px, scale)
        for name in fragments
    ]
    width = sum(max(each.width, _LEAST_WIDTH) + _MARGIN for each in drawn) + _MARGIN
    height = max(each.height for each in drawn) + 3 * _MARGIN
    sheet, left = Image.new("RGB", (width, height), GROUND), _MARGIN
    for name, each in zip(fragments, drawn, strict=True):
        write(sheet, (left, _MARGIN), f"fragment {name}")
        sheet.paste(each, (left, 2 * _MARGIN))
        for _, region, fold, first, end in (
            placed.filter(fragment=name)
            .select("fragment", "region", "fold", "first_row", "end_row")
            .rows()
        ):
            middle = 2 * _MARGIN + scale * (first + end) / 2
            write(sheet, (left + 6, middle), f"{region}: fold {fold}", anchor="lm", halo=True)
        left += max(each.width, _LEAST_WIDTH) + _MARGIN
    return sheet


def _draw_fragment(
    placed: pl.DataFrame, mask: Mask, labels: Mask | None, gap_px: int, scale: float
) -> Image.Image:
    rows, columns = max(1, round(scale * mask.shape[0])), max(1, round(scale * mask.shape[1]))
    fold = np.empty(mask.shape[0], dtype=np.int64)
    for first, end, number in placed.select("first_row", "end_row", "fold").rows():
        fold[first:end] = number
    near = np.zeros(mask.shape[0], dtype=bool)
    for edge in np.flatnonzero(np.diff(fold)) + 1:
        near[max(0, edge - gap_px) : edge + gap_px] = True
    # One row and column of the frame for each of the picture.
    down = np.arange(rows) * mask.shape[0] // rows
    right = np.arange(columns) * mask.shape[1] // columns
    colours = np.array(_COLOURS, dtype=float)[fold[down] % len(_COLOURS)]  # (rows, 3)
    colours[near[down]] *= _DARKER
    picture = np.full((rows, columns, 3), ROOM, dtype=float)
    picture = np.where(mask[np.ix_(down, right)][..., None], colours[:, None], picture)
    if labels is not None:
        ink = labels[np.ix_(down, right)][..., None]
        picture = np.where(ink, 0.4 * picture + 0.6 * np.array(BRIGHT), picture)
    return Image.fromarray(picture.astype(np.uint8))
