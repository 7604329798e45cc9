"""How the folds of a run were trained: curves, epochs, time, device, versions."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from lsdc.store.exact_names import read_parquet
from lsdc.training.trained_fold import FACTS


@dataclass(frozen=True)
class TrainedFold:
    """The training of one fold.

    Attributes:
        fold: its number.
        history: epoch, loss, validation_loss, score: a row per epoch.
        facts: the content of fit.json.
    """

    fold: int
    history: pl.DataFrame
    facts: dict[str, Any]


def trained_folds(run: Path, folds: tuple[int, ...]) -> list[TrainedFold]:
    """Read the records of the folds in a run's folder; a fold without records is left out."""
    found = []
    for fold in folds:
        folder = run / f"fold-{fold}"
        history, facts = folder / "history.parquet", folder / FACTS
        if history.is_file() and facts.is_file():
            written = json.loads(facts.read_text(encoding="utf-8"))
            found.append(TrainedFold(fold, read_parquet(history), written))
    return found
