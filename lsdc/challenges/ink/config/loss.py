"""The loss per pixel."""

from lsdc.training.settings.dense import DenseLossSettings


class LossConfig(DenseLossSettings):
    """A weighted sum of losses over the pixels inside the mask."""
