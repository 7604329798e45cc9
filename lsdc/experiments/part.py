"""What every part of an experiment's configuration is."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """A frozen part of an experiment; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def changed(self, setting: str) -> bool:
        """Whether the setting differs from its default."""
        default: Any = type(self).model_fields[setting].default
        return bool(getattr(self, setting) != default)
