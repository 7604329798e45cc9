"""Scored runs with made-up maps, written by the code that real runs are written by."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import ndimage

from lsdc.challenges.ink.config.presets import EXPERIMENTS
from lsdc.challenges.ink.folds import Folds, Regions
from lsdc.challenges.ink.masks.oof import write_oof
from lsdc.challenges.ink.volumes.volume import LABELS, MASK, PIXELS, Form
from lsdc.store.files import write_folder
from lsdc.store.garbage import pin_results
from lsdc.store.home import Home, open_home
from lsdc.store.manifest import store_folder
from lsdc.store.runs import EXPERIMENT_FILE, RECORD, RunRecord
from lsdc.store.table_files import write_table

SHAPES = {"1": (96, 80), "2": (150, 64), "a": (60, 70)}
# Region, fragment, split, first row, end row, fold.
REGIONS = [
    ("1", "1", "train", 0, 96, 0),
    ("2-0", "2", "train", 0, 70, 1),
    ("2-1", "2", "train", 70, 150, 2),
    ("a", "a", "test", 0, 60, None),
]


def draw(
    name: str, seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return a fragment: pixels (rows, columns, 65), the mask and the labels."""
    rng = np.random.default_rng([seed, ord(name)])
    shape = SHAPES[name]
    mask = np.ones(shape, bool)
    mask[:, :5] = False
    smooth = ndimage.gaussian_filter(rng.normal(size=shape), 4)
    ink = (smooth > np.quantile(smooth, 0.85)) & mask
    pixels = rng.integers(20, 230, (*shape, 65)).astype(np.uint8)
    pixels[..., 28:36] //= 2
    pixels[~mask] = 0
    return pixels, mask, ink


def predict(ink: NDArray[np.bool_], mask: NDArray[np.bool_], seed: int) -> NDArray[np.float16]:
    """Return a map that is often right."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=ink.shape), 2) * 2
    values = 1 / (1 + np.exp(-(3.0 * ndimage.gaussian_filter(ink.astype(float), 1) - 1.5 + noise)))
    return np.where(mask, values, 0).astype(np.float16)


def regions_table() -> pl.DataFrame:
    """Return `folds.Regions`."""
    rows = []
    for region, fragment, split, first, end, _ in REGIONS:
        _, mask, ink = draw(fragment)
        inked = int(ink[first:end].sum()) if split == "train" else None
        rows.append((region, fragment, split, first, end, int(mask[first:end].sum()), inked))
    return pl.DataFrame(rows, schema=pl.Schema(Regions), orient="row")


def folds_table() -> pl.DataFrame:
    """Return `folds.Folds`."""
    rows = [(region, fold) for region, *_, fold in REGIONS if fold is not None]
    return pl.DataFrame(rows, schema=pl.Schema(Folds), orient="row")


def write_volumes(out: Path) -> None:
    """Write the prepared arrays of all fragments."""
    for name in SHAPES:
        folder = out / name
        folder.mkdir(parents=True)
        pixels, mask, ink = draw(name)
        np.save(folder / PIXELS, pixels)
        np.save(folder / MASK, mask)
        if name != "a":
            np.save(folder / LABELS, ink)
        Form(name, *SHAPES[name], 65, 8).write(folder)


def write_maps(folder: Path, seed: int = 0) -> list[Path]:
    """Write the maps of all regions into a run's folder; return the folders of the folds' maps."""
    found = []
    for region, fragment, _, first, end, fold in REGIONS:
        _, mask, ink = draw(fragment)
        out = folder / ("maps-test" if fold is None else f"maps-{fold}")
        out.mkdir(parents=True, exist_ok=True)
        np.save(out / f"{region}.npy", predict(ink[first:end], mask[first:end], seed))
        if fold is not None:
            found.append(out)
    return found


def write_run(root: Path, name: str = "ink-demo", *, seed: int = 0) -> Home:
    """Write a scored run with the records that a report shows."""
    home = open_home(root)
    folder, experiment = home.run(name), EXPERIMENTS.load("ink-5x7")
    trained = [_write_fold(home.fold(name, fold), seed) for fold in range(3)]
    maps = write_maps(folder, seed)
    with write_folder(root / "volumes") as out:
        write_volumes(out)
        volumes = store_folder(root, "volumes", out, rows=len(SHAPES))
    with write_folder(root / "folds") as out:
        write_table(Regions, regions_table(), out / "regions.parquet")
        write_table(Folds, folds_table(), out / "folds.parquet")
        folds = store_folder(root, "folds", out, rows=3)
    write_oof(
        maps,
        trained,
        regions_table(),
        folds_table(),
        volumes.folder(root),
        experiment.mask,
        folder,
        leaky=False,
    )
    pin_results(home, name, [volumes, folds])
    record = RunRecord(
        experiment="ink-5x7",
        challenge="ink",
        data="phantom",
        tables=None,
        settings={"folds": 3, "seed": seed, "tiles.groups": 7, "tiles.group_layers": 5},
        changed={},
        begun=datetime(2026, 11, 30, 8, 15, tzinfo=UTC),
    )
    (folder / RECORD).write_text(record.model_dump_json())
    (folder / EXPERIMENT_FILE).write_text(experiment.model_dump_json())
    return home


def _write_fold(folder: Path, seed: int) -> Path:
    folder.mkdir(parents=True)
    epochs = {"epoch": [1, 2], "loss": [0.6, 0.5], "validation_loss": [0.6, 0.55]}
    pl.DataFrame({**epochs, "score": [0.4, 0.5]}).write_parquet(folder / "history.parquet")
    facts = {
        "identity": "0" * 16,
        "selected": False,
        "epochs": 2,
        "seconds": 61.0,
        "device": "cpu",
        "threads": 1,
        "seed": seed,
        "versions": {"torch": "2.6"},
        "digests": {"model.safetensors": "1" * 16},
    }
    (folder / "fit.json").write_text(json.dumps(facts))
    return folder
