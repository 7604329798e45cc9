"""Settings as a run recorded them, which presets may have changed since."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.errors import DataError


def recorded_slices(settings: Mapping[str, Any], made_with: Path) -> SlicesConfig:
    """Return how a run chose slices, from its own record rather than the present preset.

    Args:
        settings: the content of the record.
        made_with: its path.

    Raises:
        DataError: another version wrote the record.
    """
    try:
        return SlicesConfig.model_validate(settings["slices"])
    except (KeyError, ValidationError) as error:
        raise DataError(
            f"{made_with}: expected settings written by this version of lsdc, got those of "
            "another version; run the same 'lsdc run-local' again to update them"
        ) from error
