"""The loss per pixel."""

from typing import Self

from pydantic import Field, model_validator

from lsdc.experiments.base import Config


class LossConfig(Config):
    """A weighted sum of losses over the pixels inside the mask."""

    bce: float = Field(default=1.0, ge=0, description="Weight of the binary cross-entropy.")
    dice: float = Field(
        default=0.0, ge=0, description="Weight of 1 - soft dice, over the whole batch."
    )
    fbeta: float = Field(
        default=0.0, ge=0, description="Weight of 1 - soft F0.5, over the whole batch."
    )
    label_smoothing: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Label smoothing: fraction of the target that is moved to one half.",
    )

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        if not (self.bce or self.dice or self.fbeta):
            raise ValueError("bce, dice, fbeta: expected a weight above 0, got none")
        return self
