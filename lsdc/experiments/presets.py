"""Experiments by name, each a change to an earlier one.

`presets.toml` holds a table an experiment; `based_on` names the one it starts from, and only what
changes is written down, as the lab log does.
"""

import difflib
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any

from pydantic import ValidationError

from lsdc.errors import SettingsError
from lsdc.experiments.config import Experiment


def experiment_names() -> list[str]:
    """The names of all known experiments, in the order of the file."""
    return list(_presets())


def load_experiment(name: str) -> Experiment:
    """The experiment of that name, its ancestors' settings merged.

    Raises:
        SettingsError: no such experiment, a circle of `based_on`, or a value out of bounds.
    """
    presets = _presets()
    settings: dict[str, Any] = {}
    lineage: list[str] = []
    current: str | None = name
    while current is not None:
        if current in lineage:
            raise SettingsError(f"experiment {name}: based_on runs in a circle: {lineage}")
        if current not in presets:
            close = difflib.get_close_matches(current, presets, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(presets)}"
            raise SettingsError(f"no experiment is called {current!r}; {hint}")
        lineage.append(current)
        settings = _merge(presets[current], settings)
        current = presets[current].get("based_on")
    settings |= {"name": name, "based_on": presets[name].get("based_on")}
    try:
        return Experiment.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"experiment {name}: {where}: {first['msg']}") from error


def _presets() -> dict[str, dict[str, Any]]:
    text = resources.files(__package__).joinpath("presets.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _merge(merged[key], value)
        else:
            merged[key] = value
    return merged
