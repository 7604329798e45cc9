"""Augmentation of a level's sample: mirror the patient, flip, move slices, then change pixels."""

import numpy as np

from lsdc.challenges.lumbar.config.augment import AugmentConfig
from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.slices.slots import list_parts
from lsdc.challenges.lumbar.training.mirror import mirror
from lsdc.training.augment import PixelAugmentation, shift_slices, shuffle_slices
from lsdc.training.samples import Sample


class PatientAugment:
    """A random change of a sample, fixed by its seed; an `lsdc.training.samples.Augment`."""

    def __init__(self, augment: AugmentConfig, slices: SlicesConfig) -> None:
        self._augment, self._slices = augment, slices
        self._parts = list_parts(slices)
        self._pixels = PixelAugmentation(augment)

    def __call__(self, sample: Sample, seed: int) -> Sample:
        augment, random = self._augment, np.random.default_rng(seed)
        mirrors, fronts, heads, shifts, shuffles = random.random(5)
        if mirrors < augment.mirror:
            sample = mirror(sample, self._slices)
        if fronts < augment.horizontal_flip:
            sample = _flip(sample, axis=2, until=self._slices.count - self._slices.axial_slices)
        if heads < augment.vertical_flip:
            sample = _flip(sample, axis=1, until=self._slices.count)
        if shifts < augment.slice_shift:
            sample = shift_slices(sample, self._parts, places=int(random.choice([-1, 1])))
        if shuffles < augment.slice_shuffle:
            sample = shuffle_slices(sample, self._parts, random)
        return self._pixels(sample, seed)


def _flip(sample: Sample, *, axis: int, until: int) -> Sample:
    """Flip the slices of slots before `until`; axis 2 (columns) swaps the sides of axial slices."""
    slices = sample.slices.copy()
    slices[:until] = np.flip(slices[:until], axis)
    return sample._replace(slices=slices)
