"""Augmentation settings: of pixels, of the order of slices, and of the samples of a batch."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lsdc.experiments.base import Config

Probability = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(ge=0, le=1)]

_ROUNDING = 1e-9  # of a sum of probabilities


class PixelSettings(Config):
    """Probability and strength of each augmentation of pixels."""

    alike: Literal["sample", "slice"] = Field(
        default="sample",
        description=(
            "Whether the pixel augmentations use the same random parameters for all slices of a "
            "sample, or new ones for each slice."
        ),
    )
    shift_scale_rotate: Probability = Field(
        default=0.0, description="Probability of shifting, scaling and rotating together."
    )
    shift: Share = Field(
        default=0.06, description="Largest shift, as a fraction of the image's height and width."
    )
    scale: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.1, description="Largest change of scale, as a fraction: 0.1 means 0.9 to 1.1."
    )
    magnify: Annotated[float, Field(ge=0, le=4)] | None = Field(
        default=None,
        description=(
            "Largest magnification, if it differs from scale: 0.4 with scale 0 means 1 to 1.4."
        ),
    )
    rotate: Annotated[float, Field(ge=0, le=180)] = Field(
        default=10.0, description="Largest rotation in degrees."
    )
    brightness_contrast: Probability = Field(
        default=0.7, description="Probability of changing brightness and contrast together."
    )
    brightness: Share = Field(
        default=0.2, description="Largest change of brightness, as a fraction of the white value."
    )
    contrast: Share = Field(
        default=0.2, description="Largest change of contrast, as a fraction: 0.2 means 0.8 to 1.2."
    )
    blur: Probability = Field(default=0.2, description="Probability of a Gaussian blur.")
    blur_sigma: tuple[float, float] = Field(
        default=(0.5, 1.5), description="Smallest and largest sigma of the blur in pixels."
    )
    noise: Probability = Field(default=0.2, description="Probability of adding Gaussian noise.")
    noise_std: tuple[Share, Share] = Field(
        default=(0.02, 0.08),
        description=(
            "Smallest and largest standard deviation of the noise, as fractions of the white value."
        ),
    )
    distortion: Probability = Field(
        default=0.2, description="Probability of distorting the image by a grid."
    )
    distortion_limit: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.2, description="Largest displacement of a grid line, as a fraction of a cell."
    )
    elastic: Probability = Field(
        default=0.0,
        description=(
            "Probability of an elastic distortion: every pixel is displaced by a smooth random "
            "field."
        ),
    )
    elastic_px: Annotated[float, Field(gt=0)] = Field(
        default=3.0, description="Standard deviation of the displacements in pixels."
    )
    elastic_sigma: Annotated[float, Field(gt=0)] = Field(
        default=8.0,
        description="Sigma in pixels of the Gaussian by which the displacements are smoothed.",
    )
    optical: Probability = Field(
        default=0.0,
        description="Probability of an optical distortion, as by a lens: barrel or pincushion.",
    )
    optical_limit: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.2, description="Largest coefficient of the lens, of either sign."
    )
    cutout: Probability = Field(
        default=0.5, description="Probability of blanking rectangles of the image (cutout)."
    )
    cutout_holes: tuple[int, int] = Field(
        default=(1, 4), description="Smallest and largest number of rectangles."
    )
    cutout_size: tuple[Share, Share] = Field(
        default=(0.08, 0.2),
        description=(
            "Smallest and largest height and width of a rectangle, as fractions of the image."
        ),
    )

    @model_validator(mode="after")
    def _check_pairs(self) -> Self:
        for setting in ("blur_sigma", "noise_std", "cutout_holes", "cutout_size"):
            low, high = getattr(self, setting)
            if not 0 <= low <= high:
                raise ValueError(f"{setting}: expected 0 <= from <= to, got {low}, {high}")
        return self


class SliceOrderSettings(Config):
    """Probability of each change of the order of slices."""

    slice_shift: Probability = Field(
        default=0.0,
        description=(
            "Probability of shifting the slices of each part by one slot, up or down. The slot "
            "that becomes empty is masked."
        ),
    )
    slice_shuffle: Probability = Field(
        default=0.0, description="Probability of shuffling the slices of each part."
    )


class MixSettings(Config):
    """Probability and strength of each way of mixing the samples of a batch."""

    mixup: Probability = Field(
        default=0.0,
        description=(
            "Probability of mixup for a batch: images and labels of two samples are blended."
        ),
    )
    mixup_alpha: float = Field(
        default=0.4, gt=0, description="Alpha of the beta distribution of the mixing fraction."
    )
    cutmix: Probability = Field(
        default=0.0,
        description=(
            "Probability of CutMix for a batch: a box of each sample is replaced by the same box "
            "of another sample, and the labels are mixed by the area of the box."
        ),
    )
    cutmix_alpha: float = Field(
        default=1.0, gt=0, description="Alpha of the beta distribution of the box area."
    )

    manifold_mixup: Probability = Field(
        default=0.0,
        description=(
            "Probability of manifold mixup for a batch: the features of two samples' slices and "
            "their labels are blended, with mixup_alpha."
        ),
    )

    @property
    def ways_to_mix(self) -> tuple[float, ...]:
        """The probabilities of all ways of mixing, of which a batch gets one at most."""
        return self.mixup, self.cutmix, self.manifold_mixup

    @model_validator(mode="after")
    def _check_mixing(self) -> Self:
        if sum(self.ways_to_mix) > 1 + _ROUNDING:
            raise ValueError(
                "a batch is mixed in one way at most: expected probabilities with a sum of at "
                f"most 1, got {' and '.join(f'{each:g}' for each in self.ways_to_mix if each)}"
            )
        return self
