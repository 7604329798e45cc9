"""Augmentation of a sample's pixels, with albumentations, and of the order of its slices.

Slices that are changed alike are passed as the channels of one image. Nothing here flips images:
which flips preserve the labels depends on the anatomy.
"""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsdc.training.samples import Sample, seed_of
from lsdc.training.settings.augment import PixelSettings
from lsdc.training.slice_order import reorder_slices, shifted_order

# Otherwise the import checks for a newer version over the network.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations
import cv2

cv2.setNumThreads(0)  # slices are small: threads cost more than they save next to torch's


class PixelAugmentation:
    """Augment a sample's slices as a function of the seed."""

    def __init__(self, settings: PixelSettings) -> None:
        s = settings
        transforms = [
            albumentations.Affine(
                translate_percent=(-s.shift, s.shift),
                scale=(1 - s.scale, 1 + (s.scale if s.magnify is None else s.magnify)),
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
    order, vacated = shifted_order(len(sample.slices), parts, places)
    moved = reorder_slices(sample, order)
    moved.slices[vacated], moved.present[vacated] = 0, False
    if moved.labels.slices is not None:
        moved.labels.slices[:, vacated] = 0
    return moved


def shuffle_slices(
    sample: Sample, parts: Sequence[Sequence[int]], random: np.random.Generator
) -> Sample:
    """Shuffle the slices within each part."""
    order = np.arange(len(sample.slices))
    for part in parts:
        order[list(part)] = random.permutation(list(part))
    return reorder_slices(sample, order)
