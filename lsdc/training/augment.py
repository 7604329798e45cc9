"""Augmentation of a sample's pixels by albumentations, the same for all of its slices.

The slices travel as the channels of one image, so that whatever happens, happens to all alike.
Nothing here flips: which flips keep the labels true is known only to who knows the anatomy.
"""

import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsdc.training.samples import Sample

# Without this the import asks the network for a newer version.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations
import cv2

cv2.setNumThreads(0)  # slices are small: threads cost more than they save, beside torch's own


@dataclass(frozen=True)
class PixelProbabilities:
    """How often each change happens to a sample."""

    shift_scale_rotate: float
    brightness_contrast: float
    blur: float
    noise: float
    distortion: float
    cutout: float


class PixelAugmentation:
    """Change a sample's slices as a seed says; the same seed, the same change."""

    def __init__(self, probabilities: PixelProbabilities) -> None:
        p = probabilities
        transforms = [
            albumentations.Affine(
                translate_percent=(-0.06, 0.06),
                scale=(0.9, 1.1),
                rotate=(-10, 10),
                border_mode=cv2.BORDER_REPLICATE,
                p=p.shift_scale_rotate,
            ),
            albumentations.GridDistortion(
                distort_limit=0.2, border_mode=cv2.BORDER_REPLICATE, p=p.distortion
            ),
            albumentations.RandomBrightnessContrast(p=p.brightness_contrast),
            albumentations.GaussianBlur(sigma_limit=(0.5, 1.5), p=p.blur),
            albumentations.GaussNoise(std_range=(0.02, 0.08), per_channel=False, p=p.noise),
            albumentations.CoarseDropout(
                num_holes_range=(1, 4),
                hole_height_range=(0.08, 0.2),
                hole_width_range=(0.08, 0.2),
                p=p.cutout,
            ),
        ]
        self._compose = albumentations.Compose(
            [transform for transform in transforms if transform.p > 0]
        )

    def __call__(self, sample: Sample, seed: int) -> Sample:
        self._compose.set_random_seed(seed)
        # (slices, height, width) -> (height, width, slices) and back
        image: NDArray[np.uint8] | NDArray[np.float32] = self._compose(
            image=np.ascontiguousarray(sample.slices.transpose(1, 2, 0))
        )["image"]
        return sample._replace(slices=np.ascontiguousarray(image.transpose(2, 0, 1)))
