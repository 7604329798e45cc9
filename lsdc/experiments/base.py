"""Base classes of settings, and of the experiments of every challenge."""

from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lsdc.experiments.expected import Expected
from lsdc.experiments.metric import Metric
from lsdc.experiments.reported import Reported


class Config(BaseModel):
    """Frozen settings, a part of an experiment; unknown keys are refused.

    So are numbers that are not finite, or that overflow or underflow in float32, in which training
    computes.
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
        """Return whether the setting differs from its default."""
        default: Any = type(self).model_fields[setting].default
        return bool(getattr(self, setting) != default)


class NeedsConfig(Config):
    """Experiments that must be trained first, on the same folds.

    Fold k uses labels and weights only of models that excluded fold k.
    """

    labels: str | None = Field(
        default=None,
        description=(
            "Name of an experiment. Its predictions are used as labels where training studies have "
            "none."
        ),
    )
    weights: str | None = Field(
        default=None, description="Name of an experiment. Each fold starts from its weights."
    )


class BaseExperiment(Config):
    """The settings common to all experiments; challenges add their own.

    `note`, `deviation`, `reported` and `expected` are never inherited from the experiment it is
    based on.
    """

    metric: ClassVar[Metric] = Metric()

    name: str
    based_on: str | None = None
    note: str = Field(default="", description="what it taught")
    deviation: str = Field(
        default="", description="why it is not run as it was written, and what is taken instead"
    )
    reported: Reported = Reported()
    expected: Expected = Expected()
    needs: NeedsConfig = NeedsConfig()
    members: tuple[str, ...] = Field(
        default=(),
        description=(
            "Names of experiments. Their predictions are combined into those of this experiment, "
            "an ensemble, which trains no model. They must be trained first, on the same data and "
            "folds, and are no ensembles themselves."
        ),
    )

    @property
    def pretrained_backbones(self) -> tuple[str, ...]:
        """The backbones that start from pretrained weights, by their names in timm."""
        return ()

    @property
    def required(self) -> list[tuple[str, str]]:
        """The experiments that must be trained first, after the setting that names each."""
        needs = self.needs.model_dump().items()
        named = [(f"needs.{what}", name) for what, name in needs if name is not None]
        return [*named, *(("members", name) for name in self.members)]

    def has_effect(self, setting: str) -> bool:  # noqa: ARG002 (challenges have more to say)
        """Return whether a setting, by its dotted name, has an effect beside the others."""
        return True

    @model_validator(mode="after")
    def _check_members(self) -> Self:
        if twice := [name for name in self.members if self.members.count(name) > 1]:
            raise ValueError(f"members: expected each once, got {twice[0]} twice")
        return self


def _fits_float32(value: float) -> bool:
    return value == 0 or 1e-37 <= abs(value) <= 1e38
