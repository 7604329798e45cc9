"""Paint bleeds over the brain, and measure what they change."""

from dataclasses import dataclass

import numpy as np

from lsdc.challenges.hemorrhage.phantom import tissues
from lsdc.challenges.hemorrhage.phantom.bleeds import Bleed
from lsdc.challenges.hemorrhage.phantom.brain import Spaces
from lsdc.challenges.hemorrhage.phantom.canvas import Canvas, Field
from lsdc.challenges.hemorrhage.phantom.patient import HALF_LENGTH_MM, HALF_WIDTH_MM
from lsdc.challenges.hemorrhage.vocabulary import Label

_OEDEMA_MM = (3.5, 7.5)  # the rim's width around a small and a large haematoma
_MIDLINE_MM = 1.6  # subdural blood stays this far from the falx' middle


@dataclass(frozen=True)
class Trace:
    """What one bleed changed: `Field`s.

    Attributes:
        cover: the share of each sample that the blood fills, 0..1.
        contrast: the HU that it added, negative for blood darker than what it replaces.
    """

    cover: Field
    contrast: Field

    def hide(self, cover: Field) -> None:
        """Take away what another bleed covers."""
        rest = 1 - cover
        self.cover[...] *= rest
        self.contrast[...] *= rest


def paint_bleed(canvas: Canvas, brain: Canvas, spaces: Spaces, bleed: Bleed) -> Trace | None:
    """Paint a bleed, and return its trace, or None if the slice does not reach it.

    Args:
        canvas: the slice.
        brain: the same samples in coordinates of the brain, which a mass may have pushed.
        spaces: the fluid spaces.
        bleed: what to paint.
    """
    reach = max(bleed.size_mm) * 1.1
    heights = canvas.z
    if not float(heights.min()) - reach < bleed.centre_mm[2] < float(heights.max()) + reach:
        return None
    cavity = np.minimum(canvas.depth, canvas.floor)
    if bleed.subtype is Label.EPIDURAL:
        cover = _epidural(canvas, bleed)
    elif bleed.subtype is Label.SUBDURAL:
        cover = _subdural(canvas, bleed)
    elif bleed.subtype is Label.SUBARACHNOID:
        cover = spaces.subarachnoid * _near(brain, bleed)
    elif bleed.subtype is Label.INTRAVENTRICULAR:
        cover = spaces.ventricles * _pooled(brain, bleed)
    else:
        cover = _intraparenchymal(canvas, bleed, spaces)
    cover *= canvas.inside(cavity - 0.2)
    if not float(cover.max()) > 0:
        return None
    hu = np.float32(bleed.hu) + 1.5 * canvas.fine
    # Where a sample is partly bone, blood is compared with what else is in it.
    contrast = cover * (hu - np.minimum(canvas.value, tissues.DURA))
    canvas.paint(cover, hu)
    return Trace(cover, contrast)


def _epidural(canvas: Canvas, bleed: Bleed) -> Field:
    """Return a lens on the skull's inner side, thickest in its middle."""
    thick, length, height = bleed.size_mm
    x, y, z = bleed.centre_mm
    away = np.square(canvas.x - np.float32(x)) + np.square(canvas.y - np.float32(y))
    # Along the skull, not into the depth.
    away -= np.square(canvas.depth)
    away = np.maximum(away, 0.0) * np.float32(1 / length**2)
    away += np.square((canvas.z - np.float32(z)) * np.float32(1 / height))
    lens = np.float32(thick) * (1 - away) - canvas.depth
    lens *= np.float32(0.9)
    return canvas.inside(lens)


def _subdural(canvas: Canvas, bleed: Bleed) -> Field:
    """Return a crescent under the skull, or a layer beside the falx, on one side only."""
    thick, length, height = bleed.size_mm
    x, y, z = bleed.centre_mm
    own_side = canvas.x * np.float32(bleed.side)
    up = np.square((canvas.z - np.float32(z)) * np.float32(1 / height))
    if bleed.place == "falx":
        along = np.square((canvas.y - np.float32(y)) * np.float32(1 / length))
        layer = np.float32(thick) * np.sqrt(np.clip(1 - up - along, 0.0, 1.0))
        layer *= 1 + 0.25 * canvas.coarse
        depth = np.minimum(layer - own_side + 0.5, own_side - 0.5)
        depth = np.where(up + along < 1, depth, -9.0)
        return canvas.inside(depth.astype(np.float32))
    angle = np.arctan2(
        canvas.y * np.float32(1 / HALF_LENGTH_MM), own_side * np.float32(1 / HALF_WIDTH_MM)
    )
    middle = np.arctan2(y / HALF_LENGTH_MM, abs(x) / HALF_WIDTH_MM)
    along = np.square((angle - np.float32(middle)) * np.float32(HALF_WIDTH_MM / length))
    spread = np.clip(1 - up - along, 0.0, 1.0)
    crescent = np.float32(thick) * np.sqrt(spread) * (1 + 0.12 * canvas.coarse)
    cover = canvas.inside(crescent - canvas.depth)
    cover *= spread > 0
    cover *= canvas.inside(own_side - np.float32(_MIDLINE_MM))
    return cover


def _near(brain: Canvas, bleed: Bleed) -> Field:
    """Return how much of the fluid around the brain is bloody: all near the source, then less."""
    total = np.square((brain.x - bleed.centre_mm[0]) * np.float32(1 / bleed.size_mm[0]))
    total += np.square((brain.y - bleed.centre_mm[1]) * np.float32(1 / bleed.size_mm[1]))
    total += np.square((brain.z - bleed.centre_mm[2]) * np.float32(1 / bleed.size_mm[2]))
    np.sqrt(total, out=total)
    total += 0.12 * brain.coarse
    return np.asarray(np.clip((1.0 - total) * np.float32(3.0), 0.0, 1.0))


def _pooled(brain: Canvas, bleed: Bleed) -> Field:
    """Return where blood lies in the ventricles: at their back, with a level; or a cast."""
    if bleed.place == "cast":
        own_side = brain.x * np.float32(bleed.side)
        return brain.inside(own_side + 3.0 + 2.0 * brain.coarse)
    return brain.inside(brain.y - np.float32(bleed.centre_mm[1]))


def _intraparenchymal(canvas: Canvas, bleed: Bleed, spaces: Spaces) -> Field:
    """Return a ragged haematoma, and paint the oedema around it."""
    cover = np.zeros_like(canvas.value)
    largest = max(bleed.size_mm)
    window = canvas.grid.window(bleed.centre_mm, largest * 1.3 + 8)
    if window is None:
        return cover
    near = canvas.part(*window)
    depth = near.ellipsoid(bleed.centre_mm, bleed.size_mm)
    depth += np.float32(0.11 * largest) * near.folds
    depth += np.float32(0.03 * largest) * near.fine
    brain = 1 - np.maximum(spaces.ventricles[window], 0.6 * spaces.subarachnoid[window])
    rim = float(np.interp(largest, (6.0, 20.0), _OEDEMA_MM))
    faded = np.clip((depth + np.float32(rim)) * np.float32(1.6 / rim), 0.0, 1.0)
    faded *= brain * near.inside(near.depth - 2.0)
    near.paint(0.85 * faded, tissues.OEDEMA)
    # The skull's base and the tentorium stay free of it.
    cover[window] = near.inside(depth) * near.inside(near.depth - 2.5)
    return cover
