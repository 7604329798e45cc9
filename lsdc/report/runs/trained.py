"""How the folds of a run were trained: curves, epochs, time, device, versions."""

import json
from collections.abc import Iterable
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
        history: epoch, loss, validation_loss, score: a row per epoch; no columns without epochs.
        facts: the content of fit.json.
    """

    fold: int
    history: pl.DataFrame
    facts: dict[str, Any]


def trained_folds(run: Path, folds: Iterable[int], kind: str = "fold") -> list[TrainedFold]:
    """Read the records of trainings in a run's folder; one without records is left out.

    Args:
        run: the folder of the run.
        folds: the numbers of the folds.
        kind: what their folders are called, before the number.
    """
    found = []
    for fold in folds:
        folder = run / f"{kind}-{fold}"
        history, facts = folder / "history.parquet", folder / FACTS
        if history.is_file() and facts.is_file():
            written = json.loads(facts.read_text(encoding="utf-8"))
            found.append(TrainedFold(fold, read_parquet(history), written))
    return found
