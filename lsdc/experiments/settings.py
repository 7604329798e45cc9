"""Settings by their dotted names: `training.epochs=2`, as they are typed after `--set`."""

import difflib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from lsdc.errors import SettingsError
from lsdc.experiments.base import BaseExperiment

# Descriptive fields of an experiment, which are neither set nor inherited.
WORDS = ("name", "based_on", "note", "deviation", "reported", "expected")


def flatten(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Flatten nested tables to dotted names and values.

    >>> flatten({"training": {"epochs": 2, "batch_size": 8}})
    {'training.epochs': 2, 'training.batch_size': 8}
    """
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{above}{key}"
        flat |= flatten(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return flat


def settings_of(experiment: BaseExperiment) -> dict[str, Any]:
    """Return the settings of an experiment that have an effect, by dotted name, as JSON values."""
    every = flatten(experiment.model_dump(mode="json", exclude=set(WORDS)))
    return {name: value for name, value in every.items() if experiment.has_effect(name)}


def changed_settings(experiment: BaseExperiment) -> dict[str, Any]:
    """Return the settings that differ from their defaults, with or without effect, by dotted name.

    >>> from lsdc.experiments.base import NeedsConfig
    >>> changed_settings(BaseExperiment(name="mine", needs=NeedsConfig(labels="demo")))
    {'needs.labels': 'demo'}
    """
    given, fields = (
        flatten(experiment.model_dump(exclude=set(WORDS))),
        _fields(type(experiment), ""),
    )
    return {name: given[name] for name, field in fields if given[name] != field.default}


@cache
def setting_fields(config: type[BaseExperiment]) -> Mapping[str, FieldInfo]:
    """Return the declarations of all settings of a configuration class by dotted name."""
    return dict(_fields(config, ""))


def parse_settings(given: Sequence[str], config: type[BaseExperiment]) -> dict[str, Any]:
    """Parse `["training.epochs=2"]` into nested tables; values are TOML, else plain text.

    Raises:
        SettingsError: not KEY=VALUE, or no such setting; the message names similar ones.

    >>> parse_settings(["needs.labels=demo", "needs.weights=none"], BaseExperiment)
    {'needs': {'labels': 'demo', 'weights': 'none'}}
    """
    nested: dict[str, Any] = {}
    for text in given:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise SettingsError(
                f"--set {text}: expected KEY=VALUE, such as --set training.epochs=2"
            )
        if name not in setting_fields(config):
            raise SettingsError(
                f"--set {text}: no setting is called {name!r}; {suggest(name, config)}"
            )
        *tables, last = name.split(".")
        place = nested
        for table in tables:
            place = place.setdefault(table, {})
        place[last] = _value(value)
    return nested


def without_values(
    settings: Mapping[str, Any], config: type[BaseExperiment], above: str = ""
) -> dict[str, Any]:
    """Return the tables with None for `"none"` where a setting may have no value.

    TOML has no null, so an inherited value could not be removed otherwise.
    """
    cleared: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping):
            cleared[key] = without_values(value, config, f"{name}.")
        else:
            cleared[key] = None if value == "none" and _may_be_none(name, config) else value
    return cleared


def suggest(name: str, config: type[BaseExperiment]) -> str:
    """Suggest settings with names similar to a misspelt one.

    >>> suggest("weights", BaseExperiment)
    'did you mean needs.weights?'
    """
    known = list(setting_fields(config))
    inside = [each for each in known if each.startswith(f"{name}.")]
    last = name.rpartition(".")[2]
    close = (
        inside[:3]
        or [each for each in known if each.rpartition(".")[2] == last][:3]
        or difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        or [each for each in known if last in difflib.get_close_matches(last, [_last(each)])][:3]
    )
    if close:
        return f"did you mean {' or '.join(close)}?"
    return "'lsdc experiments show demo' lists all"


def explain(error: ValidationError, config: type[BaseExperiment]) -> str:
    """Return the first validation error as one line, with a suggestion."""
    every = error.errors()
    setting = _setting_of(every[0], config)[0]
    own = [each for each in every if _setting_of(each, config)[0] == setting]
    # A setting of several types has an error for each; those of the wrong type say the least.
    first, *others = [each for each in own if not each["type"].endswith("_type")] or own
    name = ".".join(_setting_of(first, config))
    if first["type"] == "extra_forbidden":
        return f"no setting is called {name!r}; {suggest(name, config)}"
    text = "; or ".join(_fault(each) for each in ([first, *others] if setting else [first]))
    return f"{name}: {text}" if name else text


def _setting_of(error: ErrorDetails, config: type[BaseExperiment]) -> tuple[str, ...]:
    """Return the setting of an error and the item in it, without the type that pydantic tried."""
    parts, known = [str(part) for part in error["loc"]], setting_fields(config)
    for end in range(len(parts), 0, -1):
        if ".".join(parts[:end]) in known:
            return (".".join(parts[:end]), *(part for part in parts[end:] if part.isdigit()))
    return (".".join(parts),)


def _fault(error: ErrorDetails) -> str:
    message = error["msg"].removeprefix("Value error, ")
    got = error["input"]
    if isinstance(got, BaseModel | Mapping) or error["type"] == "value_error":
        return message
    return f"{message}, got {got!r}"


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _fields(model: type[BaseModel], above: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        if not above and name in WORDS:
            continue
        inner = [
            part for part in (field.annotation, *get_args(field.annotation)) if _is_model(part)
        ]
        if inner:
            yield from _fields(inner[0], f"{above}{name}.")
        else:
            yield f"{above}{name}", field


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _may_be_none(name: str, config: type[BaseExperiment]) -> bool:
    field = setting_fields(config).get(name)
    return field is not None and NoneType in get_args(field.annotation)
