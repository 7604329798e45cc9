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
            "Loss function; 'bce' treats each grade as a binary label, 'focal' gives less weight "
            "to easy samples."
        ),
    )
    focal_gamma: float = Field(
        default=2.0,
        gt=0,
        description="Gamma of the focal loss; a larger gamma gives less weight to easy samples.",
    )
    labels: Literal["hard", "soft"] = Field(
        default="hard",
        description=(
            "Form of the targets. 'hard': class indices; the loss is the weighted mean over the "
            "labels that exist. 'soft': class probabilities; the loss is the mean over all labels, "
            "where an empty label is all zeros and a filled label has the predicted probabilities."
        ),
    )
    label_smoothing: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description=(
            "Label smoothing: fraction of the target that is distributed evenly over all grades."
        ),
    )

    view_weight: float = Field(
        default=0.0,
        ge=0,
        description=(
            "Loss weight of auxiliary heads, one per kind of series, that grade the conditions "
            "which the series shows from its slices alone; with 0 there are no such heads."
        ),
    )
    slice_weight: float = Field(
        default=0.0,
        ge=0,
        description=(
            "Loss weight of an auxiliary attention per condition that predicts the annotated slice "
            "(cross-entropy); with 0 there is no such head."
        ),
    )

    @model_validator(mode="after")
    def _check_gamma(self) -> Self:
        if self.kind != "focal" and self.changed("focal_gamma"):
            raise ValueError("focal_gamma has no effect: expected kind 'focal'")
        return self
