"""Experiments by name, each defined as changes to an earlier one.

Each table is an experiment; `based_on` names its parent, and the table has only the changes. A
challenge packages its own tables; the user's file, LSDC_PRESETS or else ./lsdc-presets.toml, adds
more. That file depends on the host and the folder, and may be edited, so a run carries its
experiment as resolved when the run was requested.
"""

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from lsdc.errors import SettingsError
from lsdc.experiments.base import BaseExperiment
from lsdc.experiments.settings import WORDS, explain, flatten, parse_settings, without_values
from lsdc.names import require_name, require_no_twins
from lsdc.plain_text import read_text
from lsdc.typed_paths import from_root

USER_FILE = "lsdc-presets.toml"
AUTO = "auto"  # in place of a name: lsdc chooses, see `lsdc.experiments.defaults`
# The user's file, or the folder in which processes that run elsewhere look for it.
NAMED, FOLDER = "LSDC_PRESETS", "LSDC_PRESETS_FOLDER"

Tables = dict[str, dict[str, Any]]
E = TypeVar("E", bound=BaseExperiment)


class Experiments(Generic[E]):
    """The named experiments of a challenge, and the user's own.

    Args:
        config: the class of a challenge's experiments.
        challenge: the name of the challenge.
        package: the package that contains its tables.
        files: the names of the files there, in the order in which experiments are listed.
    """

    def __init__(
        self, config: type[E], *, challenge: str, package: str, files: Sequence[str]
    ) -> None:
        self.config, self.challenge = config, challenge
        self._package, self._files = package, tuple(files)

    @property
    def packaged(self) -> list[str]:
        """The names of the challenge's own experiments, in the order of the files."""
        return list(self._packaged())

    def own_names(self) -> list[str]:
        """Return the names of the user's experiments, in the order of their file."""
        return list(self._users())

    def names(self) -> list[str]:
        """Return the names of all known experiments, in the order of the files."""
        return list(self._all())

    def resolve(self, name: str) -> dict[str, Any]:
        """Resolve an experiment's name to its tables, with its ancestors' settings merged in.

        They are plain values, which `load` accepts later or on other hosts in place of the name.

        Raises:
            SettingsError: no such experiment, or a cycle of `based_on`.
        """
        tables = self._all()
        merged: dict[str, Any] = {}
        for each in self.lineage(name):
            merged = _merge(_inherited(tables[each]), merged)
        own = {word: tables[name][word] for word in WORDS if word in tables[name]}
        return merged | own | {"name": name, "challenge": self.challenge}

    def load(
        self,
        name: str,
        settings: Sequence[str] = (),
        *,
        resolved: Mapping[str, Any] | None = None,
    ) -> E:
        """Return the experiment of that name, with `settings` applied.

        Args:
            name: one of `names()`.
            settings: `KEY=VALUE`, such as `training.epochs=2`; see `parse_settings`.
            resolved: the result of `resolve` where the run was requested; then presets are not read
                here.

        Raises:
            SettingsError: no such experiment, a cycle of `based_on`, a setting that does not exist,
                a value out of bounds, or values that cannot go together.
        """
        experiment = build_experiment(
            self.config, name, self.resolve(name) if resolved is None else resolved, settings
        )
        if resolved is None:
            for _, needed in experiment.required:
                self.lineage(needed)
            for member in experiment.members:
                if own := self.resolve(member).get("members"):
                    raise SettingsError(
                        f"experiment {name}: members: {member} is an ensemble itself, expected "
                        f"experiments that train models; name its members, {', '.join(own)}"
                    )
        return experiment

    def lineage(self, name: str) -> list[str]:
        """Return the experiment, its parent, and so on.

        Raises:
            SettingsError: an experiment is missing, or there is a cycle.
        """
        tables = self._all()
        found: list[str] = []
        current: str | None = name
        while current is not None:
            if current in found:
                circle = " > ".join([*found, current])
                raise SettingsError(f"experiment {name}: based_on is circular: {circle}")
            if current not in tables:
                raise unknown_experiment(current, tables)
            found.append(current)
            current = tables[current].get("based_on")
        return found

    def changes(self, name: str) -> dict[str, Any]:
        """Return the settings that the experiment itself defines, by dotted name."""
        return flatten(_inherited(self._all()[name]))

    def _all(self) -> Tables:
        return self._packaged() | self._users()

    def _packaged(self) -> Tables:
        return _read_packaged(self._package, self._files)

    def _users(self) -> Tables:
        """Return the user's experiments; names must be valid folder names and not be ours."""
        tables, path, packaged = own_tables(), presets_file(), self._packaged()
        for name, table in tables.items():
            if name in packaged:
                raise SettingsError(
                    f"{path}: {name} is a built-in experiment of lsdc; choose another name"
                )
            if not isinstance(table, dict) or not isinstance(table.get("based_on", ""), str):
                raise SettingsError(f"{path}: {name}: expected a table with settings and based_on")
            require_name(name, str(path))
            if name.lower() == AUTO:
                raise SettingsError(
                    f"{path}: {name} means that lsdc chooses an experiment; choose another name"
                )
        require_no_twins([*packaged, *tables], str(path))
        return tables


def build_experiment(
    config: type[E], name: str, tables: Mapping[str, Any], settings: Sequence[str] = ()
) -> E:
    """Return the experiment that resolved tables describe, with `settings` applied.

    Args:
        config: the class of the challenge's experiments.
        name: the name of the experiment.
        tables: the result of `Experiments.resolve` for that name.
        settings: `KEY=VALUE`; see `parse_settings`.

    Raises:
        SettingsError: tables of another name, a setting that does not exist, a value out of
            bounds, or values that cannot go together.

    >>> tables = {"name": "mine", "needs": {"labels": "demo"}}
    >>> build_experiment(BaseExperiment, "mine", tables, ["needs.weights=demo"]).needs
    NeedsConfig(labels='demo', weights='demo')
    """
    if tables.get("name") != name:
        raise SettingsError(
            f"experiment {name}: 'resolved' has the settings of {tables.get('name')!r}; leave "
            "'resolved' empty to look the name up"
        )
    require_name(name, "resolved")
    tables = {key: value for key, value in tables.items() if key != "challenge"}
    where = " ".join([f"experiment {name}", *(f"--set {text}" for text in settings)])
    try:
        merged = _merge(tables, parse_settings(settings, config))
        experiment = config.model_validate(without_values(merged, config))
    except ValidationError as error:
        raise SettingsError(f"{where}: {explain(error, config)}") from error
    for setting, needed in experiment.required:
        if needed == name:
            raise SettingsError(
                f"{where}: {setting}: an experiment cannot need itself; name another"
            )
    return experiment


@cache
def _read_packaged(package: str, files: tuple[str, ...]) -> Tables:
    tables: Tables = {}
    for file in files:
        text = resources.files(package).joinpath(file).read_text(encoding="utf-8")
        tables |= tomllib.loads(text)
    return tables


def presets_file() -> Path:
    """Return the path of the user's presets, whether the file exists or not."""
    if named := os.environ.get(NAMED):
        return from_root(Path(named))
    return Path(os.environ.get(FOLDER) or ".").absolute() / USER_FILE


def presets_environment() -> dict[str, str]:
    """Return environment variables that make processes in other folders use the same presets."""
    path = presets_file()
    return {NAMED: str(path)} if os.environ.get(NAMED) else {FOLDER: str(path.parent)}


def _where_looked() -> str:
    path = presets_file()
    absent = "" if path.is_file() else ", which does not exist"
    return f"; looked in lsdc's built-in experiments and in {path}{absent}"


def unknown_experiment(name: str, known: Iterable[str]) -> SettingsError:
    """Return the error for a name that no experiment has; it names a similar one."""
    close = difflib.get_close_matches(name, list(known), n=1)
    hint = f"did you mean {close[0]!r}?" if close else "'lsdc experiments list --all' lists all"
    return SettingsError(f"no experiment is called {name!r}; {hint}{_where_looked()}")


def own_tables() -> Tables:
    """Return the tables of the user's file, unchecked; empty without that file.

    Raises:
        SettingsError: the file cannot be read, or is no TOML.
    """
    path = presets_file()
    if not os.environ.get(NAMED) and not path.is_file():
        return {}
    try:
        return tomllib.loads(read_text(path))
    except OSError as error:
        raise SettingsError(
            f"{NAMED}: {path}: {error.strerror}; correct it, or unset it"
        ) from error
    except ValueError as error:
        raise SettingsError(f"{path}: {error}; expected TOML, one table per experiment") from error


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
