"""The legend: the meaning of a sheet's markers, and the sign of its distances."""

import numpy as np
from PIL import Image

from lsdc.challenges.lumbar.report.drawing import Overlay
from lsdc.challenges.lumbar.vocabulary import Condition
from lsdc.report.drawing import BRIGHT, DIM, LINE, Box, write


def write_legend(sheet: Image.Image, left: int, top: int) -> None:
    """Write the meaning of the markers, and how distances are measured."""
    signs = {
        "canal": Condition.SPINAL_CANAL_STENOSIS,
        "left foramen or recess": Condition.LEFT_NEURAL_FORAMINAL_NARROWING,
        "right foramen or recess": Condition.RIGHT_NEURAL_FORAMINAL_NARROWING,
    }
    x = left
    room = Overlay(Box(left, top, sheet.width - left, 2 * LINE))
    for name, condition in signs.items():
        for kind in ("predicted", "annotated"):
            room.mark(np.array([x + 8.0, top + 10.0]), condition, kind, BRIGHT)
            x += 22
        write(sheet, (x, top + 10), name, size=14, colour=DIM, anchor="lm")
        x += 40 + round(7.4 * len(name))
    room.put_on(sheet)
    lines = [
        "Open: the run's points. Solid: annotated. All are projected onto the slice shown.",
        "Lines: the chosen axial slices; the one nearest to each level is bolder.",
        "Under crops: mm from level point to slice, to left (L), right (R), head (H), feet (F).",
    ]
    for number, line in enumerate(lines, start=1):
        write(sheet, (left, top + 4 + number * 21), line, size=14, colour=DIM)
