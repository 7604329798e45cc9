"""The augmentation of training tiles."""

from pydantic import Field

from lsdc.experiments.base import Config
from lsdc.training.settings.augment import MixSettings, PixelSettings, Probability


class TileAugmentSettings(Config):
    """Probability and strength of what is particular to tiles of layers."""

    horizontal_flip: Probability = Field(
        default=0.0, description="Probability of flipping a tile left to right."
    )
    vertical_flip: Probability = Field(
        default=0.0, description="Probability of flipping a tile top to bottom."
    )
    quarter_turns: Probability = Field(
        default=0.0,
        description="Probability of rotating a tile by a random multiple of 90 degrees.",
    )
    layer_shift: Probability = Field(
        default=0.0, description="Probability of shifting the window of layers."
    )
    layer_shift_layers: int = Field(
        default=2, ge=1, description="Largest shift of the window, up or down, in layers."
    )
    layer_shuffle: Probability = Field(
        default=0.0,
        description="Probability of shuffling the layers of a group, in all groups alike.",
    )
    grid_cutout: Probability = Field(
        default=0.0,
        description=(
            "Probability of blanking a box of 1 to 2 by 1 to 2 cells of 32 pixels in all layers, "
            "and the label with it."
        ),
    )
    plain_epochs: int = Field(
        default=0, ge=0, description="Number of epochs at the end without any mixing."
    )


# Pydantic lists the fields of the last base first.
class AugmentConfig(MixSettings, PixelSettings, TileAugmentSettings):
    """Probabilities and magnitudes of the augmentations of a training tile."""
