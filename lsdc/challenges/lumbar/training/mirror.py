"""Mirroring of the patient: slices, mask and labels, or predictions, are swapped together."""

import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.slices.slots import mirrored_places
from lsdc.challenges.lumbar.vocabulary import CONDITIONS
from lsdc.training.samples import Batch, Sample
from lsdc.training.slice_order import reorder_slices

_MIRRORED = [CONDITIONS.index(condition.mirrored) for condition in CONDITIONS]


def mirror(sample: Sample, config: SlicesConfig) -> Sample:
    """Return the sample as it would be cut from the patient's mirror image.

    Sagittal slices look the same from either side, but their order within a series is reversed;
    axial slices keep their slots and are flipped; left and right labels are swapped.
    """
    mirrored = reorder_slices(sample, mirrored_places(config))
    axial = config.count - config.axial_slices
    mirrored.slices[axial:] = np.flip(mirrored.slices[axial:], axis=-1)
    grades, marks = mirrored.labels.grades, mirrored.labels.slices
    labels = mirrored.labels._replace(
        grades=grades[_MIRRORED], slices=None if marks is None else marks[_MIRRORED]
    )
    return mirrored._replace(labels=labels)


def mirror_batch(batch: Batch, config: SlicesConfig) -> Batch:
    """Return a batch whose slices and mask are mirrored as by `mirror`; labels are unchanged."""
    order = mirrored_places(config)
    slices = batch.slices[:, order]
    axial = config.count - config.axial_slices
    slices[:, axial:] = slices[:, axial:].flip(-1)
    return batch._replace(slices=slices, present=batch.present[:, order])


def mirror_grades(found: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the predictions (n, conditions, grades) of mirror images as those of the patients."""
    return found[:, _MIRRORED]
