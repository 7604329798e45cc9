"""The settings of the level points."""

from typing import Literal

from pydantic import Field

from lsdc.training.settings.keypoints import KeypointSettings


class CoordinatesConfig(KeypointSettings):
    """The source of level points, and the small network that learns them."""

    source: Literal["predicted", "annotated"] = Field(
        default="predicted",
        description=(
            "Which level points are used for training studies: predicted or annotated. Test and "
            "holdout studies always use predicted points."
        ),
    )
    image_size: int = Field(
        default=96,
        ge=32,
        description="Side length of the square input image of the sagittal network, in pixels.",
    )
    field_mm: float = Field(
        default=256.0,
        gt=0,
        description=(
            "Side length of the input image of the sagittal network in mm; larger images are "
            "scaled down to fit."
        ),
    )
    axial_image_size: int = Field(
        default=80,
        ge=32,
        description="Side length of the square input image of the axial network, in pixels.",
    )
    axial_field_mm: float = Field(
        default=200.0,
        gt=0,
        description=(
            "Side length of the input image of the axial network in mm; larger images are "
            "scaled down to fit."
        ),
    )
    shift_along: float = Field(
        default=0.35,
        ge=0,
        le=0.5,
        description=(
            "Augmentation: largest random shift of the image up or down, as a fraction of its side "
            "length. It moves some levels out of the image, as in scans with a shifted field of "
            "view."
        ),
    )
