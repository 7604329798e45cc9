"""Augmentation of a sample's pixels, with albumentations, and of the order of its slices.

Slices that are changed alike are passed as the channels of one image. Labels that are images move
with the slices. Nothing here flips images by itself: which flips preserve the labels depends on
what the images show.
"""

import math
import os
from collections.abc import Callable, Sequence
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
    """Augment a sample's slices as a function of the seed.

    With `per_pixel`, labels and their weights are images (heads, rows, columns) of the size of the
    slices, which are shifted, scaled, rotated and distorted with them: to the nearest pixel, and
    repeating the border, as the slices do. Slices must then be changed alike.

    Raises:
        ValueError: labels are images, and slices are not changed alike.
    """

    def __init__(self, settings: PixelSettings, *, per_pixel: bool = False) -> None:
        if per_pixel and settings.alike != "sample":
            raise ValueError(
                f"alike {settings.alike!r}: labels that are images can only follow slices that are "
                "changed alike: expected 'sample'"
            )
        self._per_pixel = per_pixel
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
            albumentations.ElasticTransform(
                # Noise from -1 to 1 that a Gaussian has smoothed has 1 / this as its deviation.
                alpha=s.elastic_px * 2 * math.sqrt(3 * math.pi) * s.elastic_sigma,
                sigma=s.elastic_sigma,
                noise_distribution="uniform",
                border_mode=cv2.BORDER_REPLICATE,
                p=s.elastic,
            ),
            albumentations.OpticalDistortion(
                distort_limit=s.optical_limit, border_mode=cv2.BORDER_REPLICATE, p=s.optical
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
        if self._per_pixel:
            return self._with_labels(sample, seed)
        if self._alike == "sample":
            return sample._replace(slices=self._change(seed, sample.slices)[0])
        changed = [
            self._change(seed_of(seed, number), slice_[np.newaxis])[0]
            for number, slice_ in enumerate(sample.slices)
        ]
        return sample._replace(slices=np.concatenate(changed))

    def _with_labels(self, sample: Sample, seed: int) -> Sample:
        grades, weights = sample.labels.grades, sample.labels.weights
        given = [grades] if weights is None else [grades, weights]
        slices, *found = self._change(seed, sample.slices, *given)
        labels = sample.labels._replace(grades=found[0])
        if weights is not None:
            labels = labels._replace(weights=found[1])
        return sample._replace(slices=slices, labels=labels)

    def _change(self, seed: int, slices: NDArray[Any], *labels: NDArray[Any]) -> list[NDArray[Any]]:
        """Return the changed slices, and labels that move with them; each (n, height, width)."""
        self._compose.set_random_seed(seed)
        # (slices, height, width) -> (height, width, slices) and back
        image, *masks = (
            np.ascontiguousarray(each.transpose(1, 2, 0)) for each in (slices, *labels)
        )
        found = self._compose(image=image, **({"masks": masks} if masks else {}))
        changed = (found["image"], *(found["masks"] if masks else ()))
        return [np.ascontiguousarray(each.transpose(2, 0, 1)) for each in changed]


def change_images(sample: Sample, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Sample:
    """Return a sample whose slices, labels and weights (n, rows, columns) are changed alike.

    Args:
        sample: a sample whose labels are images.
        change: function of an array that changes its last two axes, such as a flip.
    """
    labels, weights = sample.labels, sample.labels.weights
    return sample._replace(
        slices=np.ascontiguousarray(change(sample.slices)),
        labels=labels._replace(
            grades=np.ascontiguousarray(change(labels.grades)),
            weights=None if weights is None else np.ascontiguousarray(change(weights)),
        ),
    )


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
