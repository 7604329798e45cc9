"""The augmentation of training slices."""

from pydantic import Field

from lsdc.experiments.base import Config
from lsdc.training.settings.augment import MixSettings, PixelSettings, Probability


class FlipConfig(Config):
    """Probability of each flip of a slice; no label tells left from right."""

    horizontal_flip: Probability = Field(
        default=0.0, description="Probability of flipping a slice, left to right."
    )
    vertical_flip: Probability = Field(
        default=0.0, description="Probability of flipping a slice, front to back."
    )


# Pydantic lists the fields of the last base first.
class AugmentConfig(MixSettings, PixelSettings, FlipConfig):
    """Probabilities and magnitudes of the augmentations of a training slice."""
