"""Experiments by name, each a change to an earlier one.

A table is an experiment; `based_on` names the one it starts from, and only what changes is written
down, as the lab log does. `log/` holds the log's entries, `presets.toml` ours, and a file of the
user's, LSDC_PRESETS or else ./lsdc-presets.toml, more of them.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lsdc.errors import SettingsError
from lsdc.experiments.config import Experiment
from lsdc.experiments.settings import WORDS, explain, flatten, parse_settings, without_values
from lsdc.names import require_name, require_no_twins

FILES = (
    "presets.toml",
    "log/001-040.toml",
    "log/041-080.toml",
    "log/081-116.toml",
    "log/117-151.toml",
    "log/153-190.toml",
)
USER_FILE = "lsdc-presets.toml"

Tables = dict[str, dict[str, Any]]


def experiment_names() -> list[str]:
    """The names of all known experiments, in the order of the files."""
    return list(_presets())


def load_experiment(name: str, settings: Sequence[str] = ()) -> Experiment:
    """The experiment of that name, its ancestors' settings merged, and `settings` upon them.

    Args:
        name: one of `experiment_names()`.
        settings: `KEY=VALUE`, such as `training.epochs=2`; see `parse_settings`.

    Raises:
        SettingsError: no such experiment, a circle of `based_on`, a setting that does not exist,
            a value out of bounds, or values that cannot go together.
    """
    presets = _presets()
    merged: dict[str, Any] = {}
    for each in lineage(name):
        merged = _merge(_inherited(presets[each]), merged)
    own = {word: presets[name][word] for word in WORDS if word in presets[name]}
    where = " ".join([f"experiment {name}", *(f"--set {text}" for text in settings)])
    try:
        experiment = Experiment.model_validate(
            without_values(_merge(merged, parse_settings(settings))) | own | {"name": name}
        )
    except ValidationError as error:
        raise SettingsError(f"{where}: {explain(error)}") from error
    for what, needed in experiment.needs.model_dump().items():
        if needed == name:
            raise SettingsError(f"{where}: needs.{what}: it cannot need itself; name another")
        if needed is not None:
            lineage(needed)
    return experiment


def lineage(name: str) -> list[str]:
    """The experiment, what it is based on, and so on.

    Raises:
        SettingsError: an experiment that is not there, or a circle.
    """
    presets = _presets()
    found: list[str] = []
    current: str | None = name
    while current is not None:
        if current in found:
            circle = " > ".join([*found, current])
            raise SettingsError(f"experiment {name}: based_on runs in a circle: {circle}")
        if current not in presets:
            close = difflib.get_close_matches(current, presets, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "'lsdc experiments list' has all"
            raise SettingsError(f"no experiment is called {current!r}; {hint}")
        found.append(current)
        current = presets[current].get("based_on")
    return found


def changes(name: str) -> dict[str, Any]:
    """The settings that the experiment itself writes down, by dotted name."""
    return flatten(_inherited(_presets()[name]))


def _presets() -> Tables:
    return _packaged() | _users()


@cache
def _packaged() -> Tables:
    presets: Tables = {}
    for file in FILES:
        text = resources.files(__package__).joinpath(file).read_text(encoding="utf-8")
        presets |= tomllib.loads(text)
    return presets


def _users() -> Tables:
    """The user's own; they may not take the name of one of ours, and have to name folders."""
    named = os.environ.get("LSDC_PRESETS")
    path = Path(named or USER_FILE).expanduser()
    if not named and not path.is_file():
        return {}
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"LSDC_PRESETS: {path}: {error.strerror}; unset it, or mend it"
        ) from error
    except ValueError as error:
        raise SettingsError(f"{path}: {error}; expected TOML, a table an experiment") from error
    for name, table in tables.items():
        if name in _packaged():
            raise SettingsError(
                f"{path}: {name} is an experiment of lsdc's own; call yours otherwise"
            )
        if not isinstance(table, dict) or not isinstance(table.get("based_on", ""), str):
            raise SettingsError(f"{path}: {name}: expected a table with settings and based_on")
        require_name(name, str(path))
    require_no_twins([*_packaged(), *tables], str(path))
    return tables


def _inherited(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in WORDS}


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _merge(merged[key], value)
        else:
            merged[key] = value
    return merged
