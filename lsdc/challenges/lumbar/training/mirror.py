"""Mirroring of the patient: slices, mask and labels are always swapped together."""

import numpy as np

from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.slices.slots import mirrored_places
from lsdc.challenges.lumbar.vocabulary import CONDITIONS
from lsdc.training.samples import Sample

_MIRRORED = [CONDITIONS.index(condition.mirrored) for condition in CONDITIONS]


def mirror(sample: Sample, config: SlicesConfig) -> Sample:
    """Return the sample as it would be cut from the patient's mirror image.

    Sagittal slices look the same from either side, but their order within a series is reversed;
    axial slices keep their slots and are flipped; left and right labels are swapped.
    """
    order = mirrored_places(config)
    slices = sample.slices[order]
    axial = config.count - config.axial_slices
    slices[axial:] = np.flip(slices[axial:], axis=-1)
    labels = sample.labels.copy()  # a level label may follow; it has no sides
    labels[: len(_MIRRORED)] = sample.labels[_MIRRORED]
    return Sample(slices, sample.present[order], labels)
