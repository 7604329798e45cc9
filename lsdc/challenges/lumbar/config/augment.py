"""The augmentation of training samples."""

from typing import Annotated, Literal

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


Spread = Annotated[float, Field(ge=0)] | Literal["measured"]


class PointConfig(Config):
    """Errors of the points that crops are centred on and slices are chosen by.

    They are drawn once per sample and point (the canal, each foramen, each subarticular zone), so
    all windows on a point move together, before any other augmentation.
    """

    point_mm: Spread = Field(
        default=0.0,
        description=(
            "Spread of the errors of points in mm, by which windows are moved within crops.margin: "
            "the standard deviation of a normal distribution in each direction, or 'measured' to "
            "draw the errors of the out-of-fold points, up to 10 mm, of the studies outside the "
            "fold."
        ),
    )
    point_slices: Spread = Field(
        default=0.0,
        description=(
            "Spread of the errors of points across the slices, by which the slices of a part are "
            "exchanged for their neighbours within slices.spare_slices: a standard deviation in "
            "slices, or 'measured' as for point_mm."
        ),
    )


class HalfMixConfig(MixSettings):
    """The mixing of samples, and of their left or right halves alone."""

    half_cutmix: Probability = Field(
        default=0.0,
        description=(
            "Probability for a batch that each sample gets one half, left or right, from another "
            "sample: the slices of that side, and that half of its axial slices. Labels are mixed "
            "by the part of a condition's own slices that is exchanged: wholly on that side."
        ),
    )
    half_mixup: Probability = Field(
        default=0.0,
        description=(
            "The same, but the half is blended with that of the other sample, with mixup_alpha."
        ),
    )

    @property
    def ways_to_mix(self) -> tuple[float, ...]:
        """The probabilities of all ways of mixing, of which a batch gets one at most."""
        return *super().ways_to_mix, self.half_cutmix, self.half_mixup


# Pydantic lists the fields of the last base first.
class AugmentConfig(HalfMixConfig, SliceOrderSettings, PixelSettings, FlipConfig, PointConfig):
    """Probabilities and magnitudes of the augmentations of a training sample."""
