"""The record of the training in a finished fold's folder."""

import json
from pathlib import Path
from typing import Any

from lsdc.errors import StageError

FACTS = "fit.json"


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
