"""Draw a slot: its crop with the map, points, the line of another slice, and captions."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
from PIL import Image, ImageDraw

from lsdc.challenges.lumbar.coordinates.landmarks import REACH_MM
from lsdc.challenges.lumbar.explain.slots import Slot
from lsdc.challenges.lumbar.report.crop_grid import draw_masked, draw_tile, slice_distance
from lsdc.challenges.lumbar.report.drawing import LEVEL_COLOURS, Overlay
from lsdc.challenges.lumbar.report.layout import Panel
from lsdc.challenges.lumbar.report.panels import draw_marks
from lsdc.challenges.lumbar.vocabulary import Condition, SeriesDescription
from lsdc.geometry.lines import cut_lines
from lsdc.report.drawing import BRIGHT, DIM, RULE, Box, Colour, tint, write

Floats = npt.NDArray[np.float64]

BAR: Colour = (120, 190, 255)
_LEAST_DEEPEST = 0.01  # smaller effects are not drawn in the deepest red, as they hardly matter
_BAR_HEIGHT = 6
CAPTION = 48  # height of bar and two lines of text below a tile


def nearest_slots(slots: Sequence[Slot], points_mm: Floats) -> dict[SeriesDescription, int]:
    """Return for each kind of series the slot whose slice is nearest to a point (1, 3).

    A kind without a slice within REACH_MM is left out.
    """
    away: dict[SeriesDescription, tuple[float, int]] = {}
    for number, slot in enumerate(slots):
        if slot.window is not None:
            distance = float(np.abs(slot.window.signed_distance(points_mm))[0])
            found = distance, number
            if distance <= REACH_MM and found < away.get(slot.description, (np.inf, 0)):
                away[slot.description] = found
    return {kind: number for kind, (_, number) in away.items()}


def draw_slot(
    sheet: Image.Image, tile: Box, slot: Slot, heat: Floats, *, has_edges: bool
) -> Panel | None:
    """Draw the crop in a slot with its map over it, or hatch an empty slot.

    Args:
        sheet: the sheet to draw on.
        tile: a square box, in which the crop is drawn as large as it fits.
        slot: the slot.
        heat: (cells, cells) from 0 to 1, the map as `scale_maps` returns it.
        has_edges: whether to write the patient's directions of the left and right edges.

    Returns:
        The crop's panel; None for an empty slot.
    """
    if slot.crop is None or slot.window is None:
        draw_masked(sheet, tile)
        return None
    rows, columns = slot.crop.shape
    panel = Panel.fit(tile, (rows, columns), slot.window)
    box = panel.box
    draw_tile(sheet, box, slot.crop)
    tint(sheet, box, heat)
    if has_edges:
        left, right, _, _ = panel.edge_names()
        for name, x, anchor in ((left, box.left + 4, "la"), (right, box.right - 4, "ra")):
            write(sheet, (x, box.top + 2), name, size=18, colour=BRIGHT, anchor=anchor, halo=True)
    return panel


def mark_point(sheet: Image.Image, panel: Panel, marks: pl.DataFrame, condition: Condition) -> None:
    """Draw the predicted and the annotated point of one level and condition; see `draw_marks`."""
    overlay = Overlay(panel.box)
    draw_marks(overlay, panel, marks, [condition])
    overlay.put_on(sheet)


def draw_crossing(sheet: Image.Image, panel: Panel, other: Slot, level: str) -> None:
    """Draw the line in which the slice of another slot crosses this crop, if it does."""
    if other.window is None:
        return
    (ends,) = cut_lines(panel.plane, panel.shape, other.window)
    if np.isfinite(ends).all():
        overlay = Overlay(panel.box)
        overlay.line(panel.place_pixels(ends), LEVEL_COLOURS[level], width=1.5, opacity=0.7)
        overlay.put_on(sheet)


def caption_slot(sheet: Image.Image, tile: Box, slot: Slot, weight: float, most: float) -> None:
    """Write the slot's image number, weight and distance below it, and draw the weight as a bar.

    Args:
        sheet: the sheet to draw on.
        tile: the box of the slot.
        slot: the slot.
        weight: from 0 to 1.
        most: the weight of a bar as long as the tile.
    """
    top = tile.bottom + 3
    draw = ImageDraw.Draw(sheet)
    draw.rectangle((tile.left, top, tile.right - 1, top + _BAR_HEIGHT - 1), fill=RULE)
    if slot.crop is None:
        write(sheet, (tile.left, top + 10), "no slice", size=18, colour=DIM)
        return
    if length := round(tile.width * weight / most if most else 0):
        draw.rectangle((tile.left, top, tile.left + length - 1, top + _BAR_HEIGHT - 1), fill=BAR)
    write(sheet, (tile.left, top + 9), f"im {slot.instance_number}", size=18, colour=DIM)
    write(sheet, (tile.right, top + 9), percent(weight), size=18, colour=BRIGHT, anchor="ra")
    distance = slice_distance(slot.place, slot.offset_mm)
    write(sheet, (tile.right, top + 27), distance, size=18, colour=DIM, anchor="ra")


def scale_maps(maps: Floats) -> Floats:
    """Return the maps of a case as shares of the largest value, or of 1 % if that is larger."""
    scaled: Floats = maps / max(float(maps.max()), _LEAST_DEEPEST)
    return scaled


def percent(share: float) -> str:
    """Format a share from 0 to 1, with "<1 %" for a small one that is not 0."""
    rounded = f"{100 * share:.0f} %"
    return "<1 %" if rounded == "0 %" and share > 0 else rounded
