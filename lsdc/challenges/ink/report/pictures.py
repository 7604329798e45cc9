"""Pictures of regions: the surface, the label over it, the map, and the mask beside the label."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from lsdc.challenges.ink.report.sources import RunSource
from lsdc.challenges.ink.report.views import Seen, middle_layer, see
from lsdc.report.drawing import DIM, GROUND, LINE, encode_webp, write

Pixels = NDArray[np.uint8]

MOST_PX = 420  # of a panel's longer side
_GAP = 8
# Right, missed, and false: told apart without red and green.
RIGHT, MISSED, FALSE = (70, 190, 120), (90, 150, 255), (255, 120, 60)
LABEL = (255, 205, 70)
_HEAT = np.array([[18, 12, 48], [120, 28, 109], [237, 105, 37], [252, 255, 164]], float)


@dataclass(frozen=True)
class Drawn:
    """A picture as the bytes of a WebP file, and its size."""

    image: bytes
    size: tuple[int, int]


def draw_region(run: RunSource, regions: pl.DataFrame) -> Drawn | None:
    """Draw neighbouring regions of one fragment; None if its prepared arrays are gone.

    Four panels: the middle layer, the label over it, the probabilities, and the mask: what is
    right, missed and false; without labels the second is left out.
    """
    volume = run.volume(regions["fragment"][0])
    if volume is None:
        return None
    layer = middle_layer(run)
    seen = see(run, volume, regions, most=MOST_PX, layers=slice(layer, layer + 1))
    sheet = join_panels(panels_of(seen, layer))
    return Drawn(encode_webp(sheet), sheet.size)


def panels_of(seen: Seen, layer: int) -> dict[str, Pixels]:
    """Return the panels that there are, (rows, columns, 3), by their names.

    Args:
        seen: part of a fragment, of which one layer is seen.
        layer: the number of that layer.
    """
    grey = np.repeat(seen.layers, 3, axis=2)
    panels = {f"layer {layer}": grey}
    if seen.labels is not None:
        panels["label"] = over(grey, seen.labels, LABEL)
    if seen.probabilities is not None:
        panels["probability"] = heat(seen.probabilities)
    if seen.ink is not None:
        panels["mask"] = compared(grey // 3, seen.ink, seen.labels)
    return panels


def over(grey: Pixels, mask: NDArray[np.bool_], colour: tuple[int, int, int]) -> Pixels:
    """Return a picture tinted where the mask is set."""
    tinted = grey.astype(float)
    tinted[mask] = 0.5 * tinted[mask] + 0.5 * np.array(colour)
    return tinted.astype(np.uint8)


def heat(values: NDArray[np.float32]) -> Pixels:
    """Return values from 0 to 1 as colours from dark to bright, (rows, columns, 3)."""
    at = np.linspace(0, 1, len(_HEAT))
    channels = [np.interp(values, at, _HEAT[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=2).astype(np.uint8)


def compared(ground: Pixels, ink: NDArray[np.bool_], labels: NDArray[np.bool_] | None) -> Pixels:
    """Return a mask beside the label: what is right, missed and false."""
    shown = ground.copy()
    if labels is None:
        shown[ink] = LABEL
        return shown
    shown[ink & labels], shown[~ink & labels], shown[ink & ~labels] = RIGHT, MISSED, FALSE
    return shown


def join_panels(panels: dict[str, Pixels]) -> Image.Image:
    """Return the panels beside one another, each below its name."""
    height, width = next(iter(panels.values())).shape[:2]
    across = max(width, 120)
    sheet = Image.new("RGB", (len(panels) * (across + _GAP) - _GAP, height + LINE), GROUND)
    for place, (name, pixels) in enumerate(panels.items()):
        left = place * (across + _GAP)
        write(sheet, (left + 6, 4), name, colour=DIM)
        sheet.paste(Image.fromarray(pixels), (left, LINE))
    return sheet
