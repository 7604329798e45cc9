"""Small prepared fragments whose ink is known, and experiments that fit them."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.ink.config.experiment import Experiment
from lsdc.challenges.ink.config.presets import EXPERIMENTS
from lsdc.challenges.ink.volumes.volume import LABELS, MASK, PIXELS, Form

ROWS, COLUMNS, LAYERS = 160, 96, 12
SIZE = 32


def small(*settings: str) -> Experiment:
    """Return an experiment with tiles of 32 px and six layers from the fourth on."""
    common = (
        f"tiles.size_px={SIZE}",
        "tiles.first_layer=3",
        "tiles.groups=3",
        "tiles.group_layers=2",
        "sampling.stride_px=16",
        "sampling.tiles_an_epoch=none",
        "model.pretrained=false",
        "model.backbone=test_resnet",
        "model.width=16",
        "model.blocks=0",
        "model.decoder=unet",
        "model.decoder_width=8",
        "model.stride=4",
        "training.epochs=1",
        "training.batch_size=8",
    )
    return EXPERIMENTS.load("ink-baseline", [*common, *settings])


def write_fragment(
    folder: Path, pixels: NDArray[np.generic], ink: NDArray[np.bool_], mask: NDArray[np.bool_]
) -> None:
    """Write a prepared fragment; `pixels` are (rows, columns, layers)."""
    folder.mkdir(parents=True)
    rows, columns, layers = pixels.shape
    np.save(folder / PIXELS, pixels)
    np.save(folder / LABELS, ink)
    np.save(folder / MASK, mask)
    Form(folder.name, rows, columns, layers, 8 * pixels.dtype.itemsize).write(folder)


def plant(root: Path, names: str = "12", bits: int = 8) -> Path:
    """Write fragments with squares of ink, bright on one layer and dark on the next.

    Two thirds of the columns are mask. Outside of it, pixels are 0.
    """
    for number, name in enumerate(names):
        chance = np.random.default_rng(number)
        ink = np.zeros((ROWS, COLUMNS), dtype=bool)
        for _ in range(20):
            row, column = chance.integers(0, ROWS - 12), chance.integers(0, COLUMNS - 12)
            ink[row : row + 12, column : column + 12] = True
        mask = np.broadcast_to(np.arange(COLUMNS) < 64, ink.shape).copy()
        ink &= mask
        pixels = chance.normal(120, 10, (ROWS, COLUMNS, LAYERS))
        pixels[..., 5] += 60 * ink
        pixels[..., 6] -= 60 * ink
        pixels *= mask[..., np.newaxis]
        whole = pixels.clip(0, 255) * (1 if bits == 8 else 257)
        write_fragment(root / name, whole.astype(f"uint{bits}"), ink, mask)
    return root


def write_split(folder: Path, bands: dict[str, list[tuple[str, int, int, int]]]) -> dict[str, Path]:
    """Write regions and folds: by fragment the (region, first row, end row, fold) of each band."""
    folder.mkdir(exist_ok=True)
    rows = [(fragment, *band) for fragment, own in bands.items() for band in own]
    regions = pl.DataFrame(
        [
            {
                "region": region,
                "fragment": fragment,
                "split": "train",
                "first_row": first,
                "end_row": end,
                "mask_pixels": 1,
                "ink_pixels": 1,
            }
            for fragment, region, first, end, _ in rows
        ]
    )
    regions.write_parquet(folder / "regions.parquet")
    folds = [{"region": region, "fold": fold} for _, region, _, _, fold in rows]
    pl.DataFrame(folds).write_parquet(folder / "folds.parquet")
    return {"regions": folder / "regions.parquet", "folds": folder / "folds.parquet"}


WHOLE = {"1": [("1", 0, ROWS, 0)], "2": [("2", 0, ROWS, 1)]}
BANDS = {"1": [("1-0", 0, 96, 0), ("1-1", 96, ROWS, 1)], "2": [("2", 0, ROWS, 2)]}
