"""Loss settings."""

from typing import Literal, Self

from pydantic import Field, model_validator

from lsdc.experiments.base import Config

LossKind = Literal["cross_entropy", "bce", "focal"]


class LossSettings(Config):
    """The loss, computed on every label with a grade."""

    kind: LossKind = Field(
        default="cross_entropy",
        description=(
            "Loss function; 'bce' treats each grade as binary, 'focal' gives less weight to"
            " what is already predicted well."
        ),
    )
    focal_gamma: float = Field(
        default=2.0, gt=0, description="Gamma of the focal loss: how much less weight."
    )
    labels: Literal["hard", "soft"] = Field(
        default="hard",
        description=(
            "How targets are given to the loss: 'hard' as class indices, averaged with the "
            "grades' weights over existing labels; 'soft' as class probabilities, averaged "
            "over all labels, with empty ones as zeros and filled ones as predicted "
            "probabilities."
        ),
    )
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=1, description="Fraction of a label that is spread over all grades."
    )

    @model_validator(mode="after")
    def _check_gamma(self) -> Self:
        if self.kind != "focal" and self.changed("focal_gamma"):
            raise ValueError("focal_gamma has no effect: expected kind 'focal'")
        return self
