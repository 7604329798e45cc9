"""Write small fragments in the layout of the competition."""

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from lsdc.challenges.ink.competition.tables import Fragment
from lsdc.challenges.ink.vocabulary import LAYERS, Split


def write_picture(path: Path, mask: np.ndarray, kind: str = "L255") -> Path:
    """Write a mask, (rows, columns), as a PNG file of one of the kinds that occur."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ones = mask.astype(np.uint8)
    if kind == "palette":
        picture = Image.fromarray(ones, mode="P")
        picture.putpalette([0, 0, 0, 255, 255, 255])
    elif kind == "1 bit":
        picture = Image.fromarray(mask.astype(bool))
    elif kind in ("RGB", "RGBA"):
        picture = Image.fromarray(ones * 255).convert(kind)
    elif kind == "RGB 0/1":
        picture = Image.fromarray(np.repeat(ones[..., None], 3, axis=2))
    elif kind == "LA":
        picture = Image.fromarray(ones * 255).convert("LA")
    elif kind == "I;16":
        picture = Image.fromarray(ones.astype(np.uint16))
    else:
        picture = Image.fromarray(ones * (1 if kind == "L1" else 255))
    picture.save(path)
    return path


def write_layers(folder: Path, volume: np.ndarray, **options: Any) -> None:
    """Write a volume, (layers, rows, columns), as TIFF files."""
    layers = folder / "surface_volume"
    layers.mkdir(parents=True, exist_ok=True)
    for number, layer in enumerate(volume):
        tifffile.imwrite(layers / f"{number:02}.tif", layer, **options)


def write_fragment(
    root: Path,
    name: str,
    split: Split,
    mask: np.ndarray,
    labels: np.ndarray | None = None,
    volume: np.ndarray | None = None,
) -> Fragment:
    """Write a fragment; without a volume, its layers are empty files."""
    folder = root / split / name
    write_picture(folder / "mask.png", mask)
    if split == "train":
        write_picture(folder / "inklabels.png", mask if labels is None else labels)
    if volume is None:
        (folder / "surface_volume").mkdir()
        for number in range(LAYERS):
            (folder / "surface_volume" / f"{number:02}.tif").touch()
    else:
        write_layers(folder, volume)
    return Fragment(name, split, folder, (mask.shape[0], mask.shape[1]))
