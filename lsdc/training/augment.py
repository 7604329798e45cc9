"""Augmentation of a sample's pixels by albumentations, and of the order of its slices.

Slices that are changed alike travel as the channels of one image. Nothing here flips: which flips
keep the labels true is known only to who knows the anatomy.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lsdc.training.samples import Sample, seed_of

# Without this the import asks the network for a newer version.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations
import cv2

cv2.setNumThreads(0)  # slices are small: threads cost more than they save, beside torch's own


@dataclass(frozen=True)
class PixelSettings:
    """How often each change happens to a sample, or to each slice, and how much of it.

    Attributes:
        alike: whether all slices of a sample are changed alike, or each in its own way.
        shift, scale: up to; fractions of the edge.
        rotate: up to; degrees.
        brightness, contrast: up to; shares.
        blur_sigma: from, to; pixels.
        noise_std: from, to; shares of white.
        distortion_limit: up to; share of a cell of the grid that is distorted.
        cutout_holes: from, to; their number.
        cutout_size: from, to; fractions of the edge.
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
    """Change a sample's slices as a seed says; the same seed, the same change."""

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
    """Move the slices of each part on by so many places; what is left behind is absent.

    Args:
        sample: what to change.
        parts: each the places of slices that lie beside each other, in order.
        places: to the end of each part, or below 0 to its beginning; a part of so few slices that
            none would stay is left as it is.
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
    """Let the slices of each part change places."""
    order = np.arange(len(sample.slices))
    for part in parts:
        order[list(part)] = random.permutation(list(part))
    return sample._replace(slices=sample.slices[order], present=sample.present[order])
