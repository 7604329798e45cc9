"""What every part of an experiment's configuration is."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator


class Config(BaseModel):
    """A frozen part of an experiment; unknown keys are refused.

    So are numbers that are not finite, or that float32, in which training computes, does not hold:
    it would take them for infinite, or for zero.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="after")
    def _check_range(self) -> Self:
        for setting in type(self).model_fields:
            given = getattr(self, setting)
            for value in given if isinstance(given, tuple) else (given,):
                if isinstance(value, float) and not _fits_float32(value):
                    raise ValueError(
                        f"{setting}: expected 0 or a size from 1e-37 to 1e38, as training computes "
                        f"in float32, got {value}"
                    )
        return self

    def changed(self, setting: str) -> bool:
        """Whether the setting differs from its default."""
        default: Any = type(self).model_fields[setting].default
        return bool(getattr(self, setting) != default)


def _fits_float32(value: float) -> bool:
    return value == 0 or 1e-37 <= abs(value) <= 1e38
