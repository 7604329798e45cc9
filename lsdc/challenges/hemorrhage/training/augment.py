"""Augmentation of a slice: flips, then changes of the pixels, alike in all of its channels."""

import numpy as np

from lsdc.challenges.hemorrhage.config.augment import AugmentConfig
from lsdc.training.augment import PixelAugmentation
from lsdc.training.samples import Sample


class SliceAugment:
    """A random change of a sample, fixed by its seed; an `lsdc.training.samples.Augment`."""

    def __init__(self, augment: AugmentConfig) -> None:
        self._augment = augment
        self._pixels = PixelAugmentation(augment)

    def __call__(self, sample: Sample, seed: int) -> Sample:
        across, along = np.random.default_rng(seed).random(2)
        slices = sample.slices
        if across < self._augment.horizontal_flip:
            slices = slices[:, :, ::-1]
        if along < self._augment.vertical_flip:
            slices = slices[:, ::-1]
        return self._pixels(sample._replace(slices=np.ascontiguousarray(slices)), seed)
