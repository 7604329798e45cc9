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
            "How a network predicts a point. 'soft-argmax': centre of mass of a heatmap over the "
            "whole series; 'heatmap': centre of a segmented ball around the point; 'regression': "
            "direct regression of the coordinates."
        ),
    )
    width: int = Field(
        default=16, ge=4, description="Number of channels of the network's first layer."
    )
    epochs: int = Field(default=12, ge=1, description="Number of training epochs of each network.")
    min_steps: int = Field(
        default=120,
        ge=1,
        description=(
            "Minimum number of optimiser steps. If there are few series, a network is trained for "
            "more epochs."
        ),
    )
    batch_size: int = Field(default=8, ge=1, description="Number of series per training step.")
    slices_per_series: int = Field(
        default=4, ge=1, description="Number of slices of a series in one training step."
    )
    learning_rate: float = Field(default=1e-2, gt=0, description="Peak learning rate.")
