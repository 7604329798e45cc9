"""The results of a demo run that benchmarks train on."""

from pathlib import Path

import polars as pl

from lsdc.store.garbage import pinned_results
from lsdc.store.home import existing_home


def training_inputs(home: Path) -> tuple[Path, Path]:
    """Return the folders of a demo run's training crops and of its folds."""
    results = pinned_results(existing_home(home), "demo")
    (folds,) = (folder for folder in results if folder.parent.name == "folds")
    crops = next(
        folder for folder in results if folder.parent.name == "crops" and _is_of_training(folder)
    )
    return crops, folds


def _is_of_training(crops: Path) -> bool:
    return str(pl.read_parquet(crops / "samples.parquet")["split"][0]) == "train"
