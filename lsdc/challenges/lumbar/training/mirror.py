"""The patient in a mirror: slices, mask and labels exchanged together, or not at all."""

import numpy as np

from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.slices.slots import mirrored_places
from lsdc.challenges.lumbar.vocabulary import CONDITIONS
from lsdc.training.samples import Sample

_MIRRORED = [CONDITIONS.index(condition.mirrored) for condition in CONDITIONS]


def mirror(sample: Sample, config: SlicesConfig) -> Sample:
    """The sample as it would be cut from the patient's mirror image.

    Sagittal slices look the same from either side but come in the opposite order in each series;
    axial slices stay where they are and are flipped; labels of left and right change places.
    """
    order = mirrored_places(config)
    slices = sample.slices[order]
    axial = config.count - config.axial_slices
    slices[axial:] = np.flip(slices[axial:], axis=-1)
    labels = sample.labels.copy()  # what may follow, the level, has no sides
    labels[: len(_MIRRORED)] = sample.labels[_MIRRORED]
    return Sample(slices, sample.present[order], labels)
