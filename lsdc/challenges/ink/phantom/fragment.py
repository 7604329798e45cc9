"""Write one fragment of a phantom: its layers, pictures and answers.

Everything is painted in bands of rows, so that memory is bounded at the full size, too.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from lsdc.challenges.ink.competition.tables import INFRARED, LABELS, MASK, VOLUME
from lsdc.challenges.ink.phantom.cracks import STEPS, Cracks, draw_cracks
from lsdc.challenges.ink.phantom.depth import Depth, depth_tables
from lsdc.challenges.ink.phantom.letters import draw_letters
from lsdc.challenges.ink.phantom.order import Order, Part
from lsdc.challenges.ink.phantom.outline import draw_outline
from lsdc.challenges.ink.phantom.texture import Autoregressive, Texture
from lsdc.challenges.ink.phantom.waves import Waves
from lsdc.challenges.ink.vocabulary import LAYERS

Mask = NDArray[np.bool_]
Layers = NDArray[np.uint16]
Tell = Callable[[], None]

ANSWERS = "answers"
_PURPOSES = ("outline", "letters", "surface", "texture", "fibres", "grains", "infrared", "cracks")

_BAND_ROWS = 32
_INK_SHARE = 0.184  # of the mask: all ones score 0.22
_INK_STRENGTH = 0.06  # of the range of 16 bits
_WAVE_PX, _WAVE_LAYERS = (50.0, 200.0), 2.4  # of the surface: lengths, standard deviation
_FIBRE_PX, _FIBRE_STRENGTH = (800.0, 40.0), 0.35  # that lift the surface as ink does
_GRAINS = 1e-5  # bright grains in a voxel of papyrus
_BRIGHT = 0.3
_NOISE = 0.006
_STRIP_ROWS = 64


@dataclass(frozen=True, eq=False)
class Sheet:
    """What a fragment shows of its frame: where there are papyrus, ink and cracks.

    Attributes:
        mask: (rows, columns).
        ink: (rows, columns), only inside the mask.
        cracks: (rows, columns), how much deeper the surface lies; see `draw_cracks`.
    """

    mask: Mask
    ink: Mask
    cracks: Cracks


def draw_sheet(order: Order, part: Part) -> Sheet:
    """Draw the mask, the letters and the cracks of a part."""
    # The letters of a turned part are drawn upright in a frame that is turned, too.
    rows, columns = part.shape[::-1] if part.turned else part.shape
    mask = draw_outline(rows, columns, order.scale, _chance(order, part, "outline"))
    ink = draw_letters(mask, order.scale, _INK_SHARE, _chance(order, part, "letters"))
    if part.turned:
        mask, ink = (np.ascontiguousarray(np.rot90(each)) for each in (mask, ink))
    return Sheet(mask, ink, draw_cracks(part.shape, order.scale, _chance(order, part, "cracks")))


def paint(order: Order, part: Part, sheet: Sheet) -> Iterator[Layers]:
    """Paint the layers of a part, yielding bands of rows from the top: (layers, rows, columns)."""
    rows, columns = part.shape
    tables = depth_tables(_INK_STRENGTH)
    lengths = [length / order.scale for length in _WAVE_PX]
    waves = Waves.draw(40, (lengths[0], lengths[1]), _chance(order, part, "surface"))
    texture = Texture(columns, order.scale, _chance(order, part, "texture"), turned=part.turned)
    down, right = (length / order.scale for length in _FIBRE_PX[:: 1 if part.turned else -1])
    fibres = Autoregressive(1, columns, down, right, _chance(order, part, "fibres"))
    grains = _chance(order, part, "grains")
    layer = np.arange(LAYERS, dtype=np.float32)[:, None, None]
    for first in range(0, rows, _BAND_ROWS):
        end = min(first + _BAND_ROWS, rows)
        surface = np.float32(part.surface) + _WAVE_LAYERS * waves.on(first, end, columns)
        surface -= sheet.cracks[first:end] / np.float32(STEPS)
        place = Depth.index(layer - surface)
        ink = sheet.ink[first:end].astype(np.float32)
        values = tables.ink_spread[place] * ink
        values += 1
        values *= tables.spread[place]
        values *= texture.draw(end - first)
        values += tables.mean[place]
        values += tables.ink[place] * (ink + _FIBRE_STRENGTH * fibres.draw(end - first)[0])
        values += _NOISE * grains.standard_normal(values.shape, dtype=np.float32)
        _add_grains(values, surface, grains)
        stored = np.clip(np.rint(values * 65535), 0, 65535).astype(np.uint16)
        yield stored * sheet.mask[first:end]


def write_fragment(root: Path, order: Order, part: Part, tell: Tell) -> None:
    """Write the folder of a part and its answers; `tell` is called after each layer."""
    folder, answers = root / part.split / part.name, root / ANSWERS / part.name
    (folder / VOLUME).mkdir(parents=True)
    sheet = draw_sheet(order, part)
    _save(sheet.mask, folder / MASK, part.mask_kind)
    if part.split == "train":
        _save(sheet.ink, folder / LABELS, part.labels_kind)
        _write_infrared(folder / INFRARED, order, part, sheet)
    else:
        answers.mkdir(parents=True)
        _save(sheet.ink, answers / LABELS, part.labels_kind)
    _write_layers(folder / VOLUME, sheet, paint(order, part, sheet), tell)


def _write_layers(folder: Path, sheet: Sheet, bands: Iterator[Layers], tell: Tell) -> None:
    """Write layers as TIFF files by way of raw files, since bands cross all layers."""
    raw = [folder / f"{number:02}.raw" for number in range(LAYERS)]
    with ExitStack() as opened:
        files = [opened.enter_context(path.open("wb")) for path in raw]
        for band in bands:
            for file, rows in zip(files, band, strict=True):
                file.write(np.ascontiguousarray(rows).data)
    for path in raw:
        tifffile.imwrite(
            path.with_suffix(".tif"),
            level(np.fromfile(path, np.uint16).reshape(sheet.mask.shape), sheet),
            compression="lzw",
            rowsperstrip=_STRIP_ROWS,
            photometric="minisblack",
            metadata=None,
            software=False,
        )
        path.unlink()
        tell()


def level(layer: NDArray[np.uint16], sheet: Sheet) -> NDArray[np.uint16]:
    """Give ink the median of bare papyrus in a layer, (rows, columns), so that grey shows nothing.

    A layer's medians differ a little by what is left of the ink's parts, and by chance: in a small
    fragment, few letters lie on few fibres.
    """
    bare = sheet.mask & ~sheet.ink
    if not sheet.ink.any() or not bare.any():
        return layer
    excess = np.rint(np.median(layer[sheet.ink]) - np.median(layer[bare]))
    values = layer.astype(np.int32) - np.int32(excess) * sheet.ink
    levelled: NDArray[np.uint16] = np.clip(values, 0, 65535).astype(np.uint16)
    return levelled


def _add_grains(
    values: NDArray[np.float32], surface: NDArray[np.float32], rng: np.random.Generator
) -> None:
    """Add bright grains of 3 x 3 x 3 voxels inside the papyrus."""
    layers, rows, columns = values.shape
    count = rng.poisson(_GRAINS * values.size)
    at = [rng.integers(1, size - 1, count) for size in (layers, rows, columns) if size > 2]
    if len(at) < 3:
        return
    depth = at[0] - surface[at[1], at[2]]
    inside = depth < 0
    z, y, x = (each[inside] for each in at)
    for dz, dy, dx in np.ndindex(3, 3, 3):
        weight = 0.5 ** (abs(dz - 1) + abs(dy - 1) + abs(dx - 1))
        values[z + dz - 1, y + dy - 1, x + dx - 1] += np.float32(_BRIGHT * weight)


def _write_infrared(path: Path, order: Order, part: Part, sheet: Sheet) -> None:
    """Write the infrared picture, in which ink is dark to the eye."""
    rng = _chance(order, part, "infrared")
    right, down = (length / order.scale for length in (40.0, 20.0))
    rows, columns = part.shape
    field = Autoregressive(1, columns, down, right, rng)
    picture = np.empty(part.shape, dtype=np.uint8)
    for first in range(0, rows, _BAND_ROWS):
        end = min(first + _BAND_ROWS, rows)
        grey = 150 - 60 * sheet.ink[first:end] + 22 * field.draw(end - first)[0]
        picture[first:end] = np.clip(grey, 1, 255) * sheet.mask[first:end]
    image = Image.fromarray(picture)
    (image.convert("RGB") if part.mask_kind == "RGB" else image).save(path)


def _save(mask: Mask, path: Path, kind: str) -> None:
    """Write a mask as a PNG picture of one of the kinds that occur."""
    if kind == "1":
        picture = Image.fromarray(mask)
    elif kind == "P":
        picture = Image.fromarray(mask.astype(np.uint8))
        picture.putpalette([0, 0, 0, 255, 255, 255])
    else:
        picture = Image.fromarray(mask * np.uint8(255)).convert(kind)
    picture.save(path)


def _chance(order: Order, part: Part, purpose: str) -> np.random.Generator:
    """Return a random stream per part and purpose, independent of which process paints what."""
    key: Any = (order.seed, part.number, _PURPOSES.index(purpose))
    return np.random.default_rng(key)
