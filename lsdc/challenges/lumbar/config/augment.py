"""What happens to training samples before the model sees them."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lsdc.experiments.base import Config

Probability = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class AugmentConfig(Config):
    """Probabilities of what happens to a training sample, and how much of it.

    `mirror` exchanges left and right as a whole: labels, slice order and axial images together.
    No other flip along the patient's left-right axis exists.
    """

    mirror: Probability = Field(default=0.0, description="left and right, with their labels")
    horizontal_flip: Probability = Field(
        default=0.0, description="front and back of sagittal slices; axial ones stay as they are"
    )
    vertical_flip: Probability = Field(
        default=0.0, description="head and foot of sagittal slices, front and back of axial ones"
    )

    alike: Literal["sample", "slice"] = Field(
        default="sample", description="whether what follows happens to all slices of a sample alike"
    )
    shift_scale_rotate: Probability = Field(
        default=0.0, description="by what shift, scale and rotate say, together"
    )
    shift: Share = Field(default=0.06, description="up to, of the side")
    scale: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.1, description="up to")
    rotate: Annotated[float, Field(ge=0, le=180)] = Field(default=10.0, description="degrees")
    brightness_contrast: Probability = Field(default=0.7, description="both changed at random")
    brightness: Share = Field(default=0.2, description="up to, of white")
    contrast: Share = Field(default=0.2, description="up to")
    blur: Probability = Field(default=0.2, description="by a Gaussian of a blur_sigma")
    blur_sigma: tuple[float, float] = Field(default=(0.5, 1.5), description="from, to, px")
    noise: Probability = Field(default=0.2, description="Gaussian, of a noise_std")
    noise_std: tuple[Share, Share] = Field(default=(0.02, 0.08), description="from, to, of white")
    distortion: Probability = Field(default=0.2, description="of the image by a bent grid")
    distortion_limit: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.2, description="of a grid's cell, up to"
    )
    cutout: Probability = Field(default=0.5, description="rectangles are blanked")
    cutout_holes: tuple[int, int] = Field(default=(1, 4), description="from, to")
    cutout_size: tuple[Share, Share] = Field(default=(0.08, 0.2), description="from, to, of a side")

    slice_shift: Probability = Field(
        default=0.0, description="slices of each part move by one place; the end is missing then"
    )
    slice_shuffle: Probability = Field(default=0.0, description="slices of each part change places")

    mixup: Probability = Field(default=0.0, description="of a batch: samples and labels blended")
    mixup_alpha: float = Field(default=0.4, gt=0, description="of the share's beta distribution")
    cutmix: Probability = Field(
        default=0.0, description="of a batch: a box of another sample, its labels by its area"
    )
    cutmix_alpha: float = Field(default=1.0, gt=0, description="likewise")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.mixup + self.cutmix > 1:
            raise ValueError(
                "mixup and cutmix never meet in one batch: expected probabilities of at most 1 "
                f"together, got {self.mixup} and {self.cutmix}"
            )
        for setting in ("blur_sigma", "noise_std", "cutout_holes", "cutout_size"):
            low, high = getattr(self, setting)
            if not 0 <= low <= high:
                raise ValueError(f"{setting}: expected 0 <= from <= to, got {low}, {high}")
        return self
