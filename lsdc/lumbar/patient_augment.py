"""Augmentation of a level's sample: the patient's mirror image, then the pixels."""

import numpy as np

from lsdc.experiments.config import AugmentConfig, SlicesConfig
from lsdc.lumbar.mirror import mirror
from lsdc.training.augment import PixelAugmentation, PixelProbabilities
from lsdc.training.samples import Sample


class PatientAugment:
    """Change a sample as its seed says; an `lsdc.training.samples.Augment`."""

    def __init__(self, augment: AugmentConfig, slices: SlicesConfig) -> None:
        self._mirror, self._slices = augment.mirror, slices
        self._pixels = PixelAugmentation(
            PixelProbabilities(
                shift_scale_rotate=augment.shift_scale_rotate,
                brightness_contrast=augment.brightness_contrast,
                blur=augment.blur,
                noise=augment.noise,
                distortion=augment.distortion,
                cutout=augment.cutout,
            )
        )

    def __call__(self, sample: Sample, seed: int) -> Sample:
        if np.random.default_rng(seed).random() < self._mirror:
            sample = mirror(sample, self._slices)
        return self._pixels(sample, seed)
