"""The augmentation of training samples."""

from pydantic import Field

from lsdc.experiments.base import Config
from lsdc.training.settings.augment import (
    MixSettings,
    PixelSettings,
    Probability,
    SliceOrderSettings,
)


class FlipConfig(Config):
    """Probability of each flip along the patient's axes.

    `mirror` swaps left and right consistently: labels, slice order and axial images together.
    There is no other flip along the patient's left-right axis.
    """

    mirror: Probability = Field(
        default=0.0,
        description=(
            "Probability of mirroring the patient left to right: the labels, the order of slices "
            "and the axial images are swapped together."
        ),
    )
    horizontal_flip: Probability = Field(
        default=0.0,
        description=(
            "Probability of flipping sagittal slices front to back; axial slices are not flipped."
        ),
    )
    vertical_flip: Probability = Field(
        default=0.0,
        description=(
            "Probability of flipping sagittal slices head to foot and axial slices front to back."
        ),
    )


# Pydantic lists the fields of the last base first.
class AugmentConfig(MixSettings, SliceOrderSettings, PixelSettings, FlipConfig):
    """Probabilities and magnitudes of the augmentations of a training sample."""
