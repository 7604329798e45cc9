"""The record of the training in a finished fold's folder, and whether it still holds."""

import json
import logging
from pathlib import Path
from typing import Any

from lsdc.errors import StageError
from lsdc.training.events import Event, Warned
from lsdc.training.process import OnEvent

FACTS = "fit.json"
WEIGHTS, STEPS, HISTORY = "model.safetensors", "steps.parquet", "history.parquet"


def read_trained(folder: Path, setting: str) -> dict[str, Any]:
    """Return the record in the folder of a finished fold.

    Raises:
        StageError: the fold is not finished; names the setting that requires it.
    """
    try:
        written: dict[str, Any] = json.loads((folder / FACTS).read_text())
    except (OSError, ValueError) as error:
        raise StageError(
            f"{folder}: no trained fold, but {setting} needs it; run experiment "
            f"{folder.parent.name} first, with the same folds"
        ) from error
    return written


def require_same_folds(trained: Path, folds: str, setting: str) -> None:
    """Refuse results of a training that may have used what is to be predicted.

    Args:
        trained: the folder of a finished fold.
        folds: the digest of the folds' file of the training that needs it.
        setting: the setting that needs it.

    Raises:
        StageError: it was trained on other folds, or is not finished.
    """
    if read_trained(trained, setting)["folds"] != folds:
        raise StageError(
            f"{trained}: trained on another split, perhaps with studies of this fold; run "
            f"experiment {trained.parent.name} again with the same --folds and --seed"
        )


def read_facts(out: Path, identity: str) -> dict[str, Any]:
    """Return the record of a training with that identity; empty if there is none."""
    try:
        written: dict[str, Any] = json.loads((out / FACTS).read_text())
        return written if written["identity"] == identity else {}
    except (OSError, ValueError, KeyError):
        return {}


def log_warnings(name: str, on_event: OnEvent, event: Event) -> None:
    """Log a warning of what is called `name`; pass all other events on."""
    if isinstance(event, Warned):
        logging.getLogger(__name__).warning("%s %s", name, event.text)
    else:
        on_event(event)
