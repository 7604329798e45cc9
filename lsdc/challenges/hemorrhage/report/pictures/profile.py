"""The predictions of a study along its stack: a curve for each label, over bars of the labels."""

import numpy as np
from PIL import Image, ImageDraw

from lsdc.challenges.hemorrhage.report.pictures.stacks import Stack
from lsdc.challenges.hemorrhage.scoring.metric import PARTS
from lsdc.challenges.hemorrhage.vocabulary import Label
from lsdc.report.drawing import BRIGHT, DIM, GROUND, ROOM, RULE, Box, Colour, write

# Distinguishable on grey by hue and by lightness, and with colour vision deficiency.
LABEL_COLOURS: dict[str, Colour] = {
    Label.EPIDURAL: (255, 214, 92),
    Label.INTRAPARENCHYMAL: (255, 128, 92),
    Label.INTRAVENTRICULAR: (84, 200, 255),
    Label.SUBARACHNOID: (92, 224, 160),
    Label.SUBDURAL: (226, 150, 255),
    Label.ANY: (228, 228, 232),
}
_FINE = 3  # supersampling factor of curves, for smooth edges
_FILL = 0.3  # how much of a label's colour is below its curve
_TICKS = 12


def draw_profile(
    sheet: Image.Image,
    box: Box,
    stack: Stack,
    *,
    names: dict[str, str],
    size: int,
    at: int | None = None,
) -> None:
    """Draw a row for each label: its probability from 0 to 1 by slice, and below it a bar.

    The bar is filled where a slice has the label. Test studies have none.

    Args:
        sheet: the sheet to draw on.
        box: the place, with the names on the left and the numbers of slices at the bottom.
        stack: the study.
        names: the names of the labels.
        size: the size of text in px.
        at: the place of a slice to mark, whose probabilities are written on the right.
    """
    left = box.left + round(size * 0.62 * max(map(len, names.values()))) + 12
    right = box.right - (0 if at is None else round(size * 2.6))
    bottom = box.bottom - size - 8
    room = Box(left, box.top, right - left, bottom - box.top)
    _draw_rows(sheet, room, stack, at)
    step = room.height / len(PARTS)
    for number, part in enumerate(PARTS):
        middle = room.top + (number + 0.45) * step
        colour = LABEL_COLOURS[part]
        write(sheet, (left - 10, middle), names[part], size=size, colour=colour, anchor="rm")
        if at is not None:
            value = stack.probabilities[at, number]
            text = "–" if np.isnan(value) else f"{value:.2f}"
            write(sheet, (box.right, middle), text, size=size, colour=colour, anchor="rm")
    for place in _ticks(len(stack)):
        x = room.left + (place + 0.5) * room.width / len(stack)
        write(sheet, (x, bottom + 4), str(place + 1), size=size - 4, colour=DIM, anchor="ma")
    write(sheet, (left - 10, bottom + 4), "slice", size=size - 4, colour=DIM, anchor="ra")


def _draw_rows(sheet: Image.Image, room: Box, stack: Stack, at: int | None) -> None:
    layer = Image.new("RGB", (room.width * _FINE, room.height * _FINE), GROUND)
    draw = ImageDraw.Draw(layer)
    step, wide = layer.height / len(PARTS), layer.width / len(stack)
    centres = (np.arange(len(stack)) + 0.5) * wide
    gap = bar = step * 0.14
    for number, part in enumerate(PARTS):
        top, base = number * step, (number + 1) * step - 2 * gap - bar / 2
        draw.rectangle((0, top, layer.width, base), fill=ROOM)
        colour = LABEL_COLOURS[part]
        _curve(draw, centres, stack.probabilities[:, number], (top, base), colour)
        for place in np.flatnonzero(stack.labels[:, number] == 1):
            ends = place * wide, base + gap / 2, (place + 1) * wide, base + gap / 2 + bar
            draw.rectangle(ends, fill=colour)
        draw.line((0, base, layer.width, base), fill=RULE, width=_FINE)
    if at is not None:
        draw.line((centres[at], 0, centres[at], layer.height), fill=BRIGHT, width=_FINE)
    sheet.paste(layer.reduce(_FINE), (room.left, room.top))


def _curve(
    draw: ImageDraw.ImageDraw,
    centres: np.ndarray,
    values: np.ndarray,
    ends: tuple[float, float],
    colour: Colour,
) -> None:
    """Draw a curve from `ends[1]` (0) up to `ends[0]` (1); slices without a value are left out."""
    top, base = ends
    fill = tuple(round(_FILL * c + (1 - _FILL) * g) for c, g in zip(colour, ROOM, strict=True))
    for run in _runs(~np.isnan(values)):
        points = [(float(centres[i]), float(base + values[i] * (top - base))) for i in run]
        if len(points) == 1:
            points.append((points[0][0] + 1, points[0][1]))
        draw.polygon([(points[0][0], base), *points, (points[-1][0], base)], fill=fill)
        draw.line(points, fill=colour, width=2 * _FINE, joint="curve")


def _runs(known: np.ndarray) -> list[np.ndarray]:
    """Return the places of each unbroken run of slices with values."""
    places = np.flatnonzero(known)
    return [run for run in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1) if len(run)]


def _ticks(slices: int) -> list[int]:
    """Return the places whose numbers are written: 1, then each second, fifth or tenth slice."""
    every = next((each for each in (1, 2, 5, 10, 20) if slices / each <= _TICKS), 50)
    return sorted({0, *range(every - 1, slices, every)})
