"""Every setting of this Prefect: its names, and a value other than its default."""

import inspect
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from prefect.settings import Settings
from pydantic import AliasChoices, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

_CANDIDATES = (
    *("planted", "true", "false", "177", "0.7", "7777", "PT177S", "PT7777S"),
    *("CRITICAL", "error", "postgresql+asyncpg", '["planted"]', '{"planted": "177"}'),
)


@dataclass(frozen=True)
class Setting:
    """A setting.

    Attributes:
        path: of names, as in Prefect's own objects.
        names: variables of the environment that set it; the first is believed first.
        planted: a value unlike its default, as environment.
    """

    path: tuple[str, ...]
    names: tuple[str, ...]
    planted: str


def every_setting(
    model: type[BaseSettings] = Settings, path: tuple[str, ...] = ()
) -> Iterator[Setting]:
    """Yield all settings of a group and of the groups in it."""
    for name, field in model.model_fields.items():
        if inspect.isclass(field.annotation) and issubclass(field.annotation, BaseSettings):
            yield from every_setting(field.annotation, (*path, name))
            continue
        alias = field.validation_alias
        names: list[str] = [f"{model.model_config['env_prefix']}{name}"]
        if isinstance(alias, AliasChoices):
            names = [each for each in alias.choices if isinstance(each, str)]
        elif isinstance(alias, str):
            names = [alias]
        yield Setting((*path, name), tuple(map(str.upper, names)), _unlike_default(field))


def _unlike_default(field: FieldInfo) -> str:
    if field.annotation is Path:  # its validators need the other settings
        return "planted"
    kind: Any = field.annotation
    adapter: TypeAdapter[Any] = TypeAdapter(
        Annotated[kind, *field.metadata] if field.metadata else kind
    )
    default = field.get_default(call_default_factory=False)
    for text in _CANDIDATES:
        value = json.loads(text) if text[0] in "[{" else text
        with suppress(ValidationError):
            if adapter.validate_python(value) != default:
                return text
    raise AssertionError(f"no value for {field}")
