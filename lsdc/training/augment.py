"""Augmentation of a sample's pixels, with albumentations, and of the order of its slices.

Slices that are changed alike are passed as the channels of one image. Nothing here flips images:
which flips preserve the labels depends on the anatomy.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lsdc.training.samples import Sample, seed_of

# Otherwise the import checks for a newer version over the network.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations
import cv2

cv2.setNumThreads(0)  # slices are small: threads cost more than they save next to torch's


@dataclass(frozen=True)
class PixelSettings:
    """Probability and strength of each pixel augmentation; other fields are probabilities.

    Attributes:
        alike: "sample" changes all slices of a sample alike, "slice" each one independently.
        shift, scale: maximum shift as a fraction of the edge, and maximum relative scaling.
        rotate: maximum rotation in degrees.
        brightness, contrast: maximum relative changes.
        blur_sigma: range of the blur's sigma in pixels.
        noise_std: range of the noise's standard deviation as a fraction of white.
        distortion_limit: maximum distortion as a fraction of a grid cell.
        cutout_holes: range of the number of holes.
        cutout_size: range of a hole's edge as a fraction of the image's.
    """

    alike: Literal["sample", "slice"] = "sample"
    shift_scale_rotate: float = 0.0
    shift: float = 0.06
    scale: float = 0.1
    rotate: float = 10.0
    brightness_contrast: float = 0.0
    brightness: float = 0.2
    contrast: float = 0.2
    blur: float = 0.0
    blur_sigma: tuple[float, float] = (0.5, 1.5)
    noise: float = 0.0
    noise_std: tuple[float, float] = (0.02, 0.08)
    distortion: float = 0.0
    distortion_limit: float = 0.2
    cutout: float = 0.0
    cutout_holes: tuple[int, int] = (1, 4)
    cutout_size: tuple[float, float] = (0.08, 0.2)


class PixelAugmentation:
    """Augment a sample's slices as a function of the seed."""

    def __init__(self, settings: PixelSettings) -> None:
        s = settings
        transforms = [
            albumentations.Affine(
                translate_percent=(-s.shift, s.shift),
                scale=(1 - s.scale, 1 + s.scale),
                rotate=(-s.rotate, s.rotate),
                border_mode=cv2.BORDER_REPLICATE,
                p=s.shift_scale_rotate,
            ),
            albumentations.GridDistortion(
                distort_limit=s.distortion_limit, border_mode=cv2.BORDER_REPLICATE, p=s.distortion
            ),
            albumentations.RandomBrightnessContrast(
                brightness_limit=s.brightness, contrast_limit=s.contrast, p=s.brightness_contrast
            ),
            albumentations.GaussianBlur(sigma_limit=s.blur_sigma, p=s.blur),
            albumentations.GaussNoise(std_range=s.noise_std, per_channel=False, p=s.noise),
            albumentations.CoarseDropout(
                num_holes_range=s.cutout_holes,
                hole_height_range=s.cutout_size,
                hole_width_range=s.cutout_size,
                p=s.cutout,
            ),
        ]
        self._alike = s.alike
        self._compose = albumentations.Compose(
            [transform for transform in transforms if transform.p > 0]
        )

    def __call__(self, sample: Sample, seed: int) -> Sample:
        if self._alike == "sample":
            return sample._replace(slices=self._change(sample.slices, seed))
        changed = [
            self._change(slice_[np.newaxis], seed_of(seed, number))
            for number, slice_ in enumerate(sample.slices)
        ]
        return sample._replace(slices=np.concatenate(changed))

    def _change(self, slices: NDArray[Any], seed: int) -> NDArray[Any]:
        self._compose.set_random_seed(seed)
        # (slices, height, width) -> (height, width, slices) and back
        image: NDArray[Any] = self._compose(image=np.ascontiguousarray(slices.transpose(1, 2, 0)))[
            "image"
        ]
        return np.ascontiguousarray(image.transpose(2, 0, 1))


def shift_slices(sample: Sample, parts: Sequence[Sequence[int]], places: int) -> Sample:
    """Shift the slices of each part by a number of places; vacated places become absent.

    Args:
        sample: sample to shift.
        parts: indices of neighbouring slices, in order, for each part.
        places: places to shift towards the end of each part, or the beginning if negative; a part
            that would lose all its slices is left unchanged.
    """
    slices, present = sample.slices.copy(), sample.present.copy()
    for part in map(np.array, parts):
        if len(part) <= abs(places):
            continue
        to, from_ = (
            (part[places:], part[:-places]) if places > 0 else (part[:places], part[-places:])
        )
        slices[to], present[to] = sample.slices[from_], sample.present[from_]
        empty = np.setdiff1d(part, to)
        slices[empty], present[empty] = 0, False
    return sample._replace(slices=slices, present=present)


def shuffle_slices(
    sample: Sample, parts: Sequence[Sequence[int]], random: np.random.Generator
) -> Sample:
    """Shuffle the slices within each part."""
    order = np.arange(len(sample.slices))
    for part in parts:
        order[list(part)] = random.permutation(list(part))
    return sample._replace(slices=sample.slices[order], present=sample.present[order])
