"""Reference of all settings: type, default and purpose."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated, Any

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from lsdc.errors import SettingsError
from lsdc.experiments.base import BaseExperiment
from lsdc.experiments.settings import setting_fields, suggest


@dataclass(frozen=True)
class Setting:
    """The description of one setting."""

    name: str
    takes: str
    default: Any
    description: str

    @property
    def section(self) -> str:
        """The table that it belongs to; the setting itself if it is in none."""
        return self.name.rpartition(".")[0] or self.name

    @property
    def default_words(self) -> str:
        """The default as typed by the user; a list is separated by commas."""
        return typed(self.default)


def describe_settings(config: type[BaseExperiment], key: str | None = None) -> list[Setting]:
    """Describe all settings, or those whose name is `key` or below it.

    Raises:
        SettingsError: no setting matches; the message suggests similar ones.

    >>> [(each.name, each.takes) for each in describe_settings(BaseExperiment, "needs")]
    [('needs.labels', 'string, or none'), ('needs.weights', 'string, or none')]
    """
    found = list(_described(config))
    if key is None:
        return found
    chosen = [each for each in found if f"{each.name}.".startswith(f"{key}.")]
    if not chosen:
        raise SettingsError(f"no setting is called {key!r}; {suggest(key, config)}")
    return chosen


def as_markdown(settings: Sequence[Setting]) -> str:
    """Return the settings in Markdown, one table per section."""
    lines = []
    for section, members in groupby(settings, key=lambda each: each.section):
        lines += [
            f"## {section}",
            "| setting | type | default | description |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| `{each.name}` | {each.takes} | {each.default_words} | {each.description} |"
            for each in members
        ]
        lines.append("")
    return "\n".join(lines)


def describe_type(field: FieldInfo) -> str:
    """Return the type of a declared field, with its bounds: `integer >= 1`."""
    annotation: Any = Annotated[field.annotation, field]
    return _takes(TypeAdapter(annotation).json_schema())


def _described(config: type[BaseExperiment]) -> Iterator[Setting]:
    for name, field in setting_fields(config).items():
        default = None if field.default is PydanticUndefined else field.default
        yield Setting(name, describe_type(field), default, field.description or "")


def _takes(schema: Mapping[str, Any], plural: str = "") -> str:
    if "anyOf" in schema:
        return ", or ".join(_takes(each) for each in schema["anyOf"])
    if "enum" in schema:
        return f"{'any' if plural else 'one'} of {', '.join(map(str, schema['enum']))}"
    if "const" in schema:
        return str(schema["const"])
    if "prefixItems" in schema:
        items = schema["prefixItems"]
        same = all(each == items[0] for each in items)
        return f"{len(items)} {_takes(items[0], 's')}" if same else "; ".join(map(_takes, items))
    if schema.get("type") == "array":
        return f"list of {_takes(schema['items'], 's')}"
    kind = schema.get("format", schema["type"])
    name = "none" if kind == "null" else f"{kind}{plural}"
    return " ".join(filter(None, [name, _bounds(schema)]))


def _bounds(schema: Mapping[str, Any]) -> str:
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    return " and ".join(f"{signs[key]} {typed(schema[key])}" for key in signs if key in schema)


def typed(value: Any) -> str:
    """Return a value as typed by the user; a list is separated by commas."""
    if isinstance(value, tuple | list):
        return ", ".join(map(typed, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)
