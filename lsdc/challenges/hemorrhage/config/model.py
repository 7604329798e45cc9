"""The model of slices: which neighbours it sees, its backbone and its head."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from lsdc.training.settings.model import HeadSettings, ImageSettings, ModelSettings

Offset = Annotated[int, Field(ge=-20, le=20)]
_ROUNDING = 1e-6  # of a sum of weights


# Pydantic lists the fields of the last base first.
class ModelConfig(HeadSettings, ImageSettings):
    """One image a slice, whose channels are windows and neighbours; one head with six outputs."""

    backbone: str = Field(
        default="tf_efficientnetv2_s.in21k_ft_in1k",
        description="Backbone: the name of any timm model, with its tag.",
    )
    width: int = Field(
        default=256,
        ge=8,
        description="Number of features of a slice: what the head and the sequence model read.",
    )
    neighbours: tuple[Offset, ...] = Field(
        default=(0,),
        min_length=1,
        description=(
            "Slices that the image of a slice shows, counted from it through the study, lowest "
            "first: -1, 0, 1 adds the slices below and above. Each has a channel a window. At the "
            "ends of a study the last slice is repeated. A slice may be named more than once: 0, "
            "0, 0 makes three equal channels of one window."
        ),
    )
    neighbour_weights: tuple[float, ...] = Field(
        default=(),
        description=(
            "Weights, with a sum of 1, by which those slices are averaged, so that the image has "
            "the channels of one; none keeps the channels of each."
        ),
    )

    @property
    def settings(self) -> ModelSettings:
        """The settings of the engine's model: all channels in one image, no sequence."""
        shared = set(ImageSettings.model_fields) | set(HeadSettings.model_fields)
        return ModelSettings(
            **self.model_dump(include=shared),
            slices_as="channels",
            rnn="none",
            slice_pool="mean",
            slice_dropout=0.0,
            heads="one",
        )

    @model_validator(mode="after")
    def _check_neighbours(self) -> Self:
        weights = self.neighbour_weights
        if weights and len(weights) != len(self.neighbours):
            raise ValueError(
                f"neighbour_weights: expected one for each of neighbours, {len(self.neighbours)}, "
                f"got {len(weights)}"
            )
        if weights and abs(sum(weights) - 1) > _ROUNDING:
            raise ValueError(
                f"neighbour_weights: expected a sum of 1, got {sum(weights):g}; divide each by it"
            )
        return self
