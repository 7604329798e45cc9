"""Colours and markers of sheets, on the dark background that images are read on."""

from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from lsdc.challenges.lumbar.vocabulary import Condition, Level, Side
from lsdc.geometry.planes import FloatArray
from lsdc.report.drawing import Box, Colour

Kind = Literal["predicted", "annotated"]

# Distinguishable on grey by hue and by lightness, and with colour vision deficiency.
LEVEL_COLOURS: dict[str, Colour] = {
    Level.L1_L2: (255, 214, 92),
    Level.L2_L3: (92, 224, 160),
    Level.L3_L4: (84, 200, 255),
    Level.L4_L5: (255, 146, 92),
    Level.L5_S1: (226, 150, 255),
}
PREDICTED_RADIUS, ANNOTATED_RADIUS = 7.5, 4.5
_FINE = 4  # supersampling factor of markers, for smooth edges
_HALO = (0, 0, 0, 170)
# The base is at the point, so that left and right do not overlap in a sagittal view.
_CORNERS = {
    Side.LEFT: np.array([(1.5, 0.0), (0.0, -1.0), (0.0, 1.0)]),
    Side.RIGHT: np.array([(-1.5, 0.0), (0.0, -1.0), (0.0, 1.0)]),
}


def level_name(level: str) -> str:
    """Format a level such as `l4_l5` for display."""
    return level.upper().replace("_", "/")


class Overlay:
    """Markers and lines over a box of a sheet, clipped to the box."""

    def __init__(self, box: Box) -> None:
        self._box = box
        size = (box.width * _FINE, box.height * _FINE)
        self._layer = Image.new("RGBA", size, (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self._layer)

    def line(self, ends: FloatArray, colour: Colour, *, width: float, opacity: float) -> None:
        """Draw a line between two sheet positions (2, 2)."""
        fill = (*colour, round(255 * opacity))
        self._draw.line(self._fine(ends), fill=fill, width=max(1, round(width * _FINE)))

    def mark(self, at: FloatArray, condition: str, kind: str, colour: Colour) -> None:
        """Draw the marker of a condition's point at a sheet position (2,).

        The canal has a ring, the patient's left a flag to the right, the patient's right a flag to
        the left; predicted points are outlined, annotated ones are filled.
        """
        side = Condition(condition).side
        radius = (PREDICTED_RADIUS if kind == "predicted" else ANNOTATED_RADIUS) * _FINE
        middle = np.array(self._fine(at[None])[0])
        if side is None:
            ends = [tuple(middle - radius), tuple(middle + radius)]
            draw = self._draw.ellipse
        else:
            corners = middle + radius * _CORNERS[side]
            ends = [tuple(corner) for corner in corners]
            draw = self._draw.polygon
        if kind == "predicted":
            draw(ends, outline=_HALO, width=4 * _FINE)
            draw(ends, outline=(*colour, 255), width=2 * _FINE)
        else:
            draw(ends, fill=(*colour, 255), outline=_HALO, width=_FINE // 2)

    def put_on(self, sheet: Image.Image) -> None:
        """Draw the overlay onto the sheet."""
        layer = self._layer.reduce(_FINE)
        sheet.paste(layer, (self._box.left, self._box.top), layer)

    def _fine(self, positions: FloatArray) -> list[tuple[float, float]]:
        corner = np.array([self._box.left, self._box.top])
        fine = (positions - corner + 0.5) * _FINE - 0.5
        return [(float(x), float(y)) for x, y in fine]
