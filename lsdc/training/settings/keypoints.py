"""Settings of keypoint networks."""

from typing import Literal

from pydantic import Field

from lsdc.experiments.base import Config

Method = Literal["soft-argmax", "heatmap", "regression"]


class KeypointSettings(Config):
    """The architecture and the training of a network that finds points in series of slices."""

    method: Method = Field(
        default="soft-argmax",
        description=(
            "How a network finds a point: 'soft-argmax', the centre of mass of a heatmap "
            "over the whole series; 'heatmap', of a segmented ball; 'regression', as "
            "coordinates."
        ),
    )
    width: int = Field(default=16, ge=4, description="Channels of the network's first layer.")
    epochs: int = Field(default=12, ge=1, description="Number of epochs of a network.")
    min_steps: int = Field(
        default=120,
        ge=1,
        description="Least number of steps; a network trains for more epochs on few series.",
    )
    batch_size: int = Field(default=8, ge=1, description="Series per step.")
    slices_per_series: int = Field(
        default=4, ge=1, description="Slices of a series that a step sees."
    )
    learning_rate: float = Field(default=1e-2, gt=0, description="Peak learning rate.")
