"""The patient in a mirror: slices, mask and labels exchanged together, or not at all."""

import numpy as np

from lsdc.experiments.config import SlicesConfig
from lsdc.lumbar.vocabulary import CONDITIONS
from lsdc.training.samples import Sample

_MIRRORED = [CONDITIONS.index(condition.mirrored) for condition in CONDITIONS]


def mirror(sample: Sample, config: SlicesConfig) -> Sample:
    """The sample as it would be cut from the patient's mirror image.

    Sagittal slices look the same from either side but come in the opposite order, T1 and T2 each;
    axial slices stay where they are and are flipped; labels of left and right change places.
    """
    n = config.sagittal_slices
    order = [*range(n - 1, -1, -1), *range(2 * n - 1, n - 1, -1), *range(2 * n, config.count)]
    slices = sample.slices[order]
    slices[2 * n :] = np.flip(slices[2 * n :], axis=-1)
    return Sample(slices, sample.present[order], sample.labels[_MIRRORED])
