"""Tiles: single windows of slices on a sheet."""

from PIL import Image, ImageDraw

from lsdc.challenges.hemorrhage.report.pictures.stacks import Pixels
from lsdc.report.drawing import DIM, ROOM, RULE, Box, write


def draw_tile(
    sheet: Image.Image, box: Box, window: Pixels | None, missing: str, *, size: int
) -> None:
    """Draw a window of a slice (rows, columns) into a box, or why there is none."""
    if window is None:
        draw = ImageDraw.Draw(sheet)
        draw.rectangle(box.corners, fill=ROOM, outline=RULE)
        middle = (box.left + box.width / 2, box.top + box.height / 2)
        write(sheet, middle, missing, size=size, colour=DIM, anchor="mm")
        return
    how = Image.Resampling.LANCZOS
    shown = Image.fromarray(window).resize((box.width, box.height), how)
    sheet.paste(shown.convert("RGB"), (box.left, box.top))
