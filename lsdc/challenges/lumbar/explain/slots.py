"""The slots of a study's samples: the slice in each, and the position of its crop in mm."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsdc.challenges.lumbar.annotations.patient_space import planes_of
from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.crops.frames import without_frames
from lsdc.challenges.lumbar.crops.plan import choose_crops, list_samples, plan_cuts
from lsdc.challenges.lumbar.report.study import StudyResults
from lsdc.challenges.lumbar.slices.slots import Part, Place
from lsdc.challenges.lumbar.vocabulary import SeriesDescription
from lsdc.errors import DataError
from lsdc.geometry.planes import Planes

SampleName = tuple[str, str | None]  # level, and side or None for both


@dataclass(frozen=True)
class Slot:
    """The slice in a slot of a sample.

    Attributes:
        series_id, instance_number: the slice; None in an empty slot.
        offset_mm: its distance from the level point, positive to the patient's left (sagittal) or
            to the head (axial); None in an empty slot.
        crop: (rows, columns) grey values as the model receives them, None in an empty slot.
        window: the single plane of the crop in patient space, None in an empty slot. With
            crops.motion "correct" it is that of the corrected slice.
    """

    place: Place
    series_id: int | None = None
    instance_number: int | None = None
    offset_mm: float | None = None
    crop: npt.NDArray[np.uint8 | np.uint16] | None = None
    window: Planes | None = None

    @property
    def description(self) -> SeriesDescription:
        """The kind of series that the slot is for."""
        return self.place.description

    @property
    def is_axial(self) -> bool:
        """Whether the slot is for an axial slice."""
        return self.place.part == Part.AXIAL


def read_slots(study: StudyResults, experiment: Experiment) -> dict[SampleName, tuple[Slot, ...]]:
    """Return the slots of all samples of a study that have crops, as the crops stage filled them.

    A slice that was chosen and could not be read leaves its slot empty.

    Raises:
        DataError: the run has no crops of the study.
    """
    if not study.samples:
        raise DataError(
            f"study {study.study_id}: no crops in the results of the run, so no model saw it; see "
            "'lsdc inspect' and the catalog's tables 'points' and 'quarantine'"
        )
    cut = _cut_slices(study, experiment)
    samples = {}
    for number, name in enumerate(study.samples):
        offsets = study.offsets_mm(*name)
        slots = []
        for place, meaning in enumerate(study.places):
            if study.mask[number, place]:
                series_id, instance_number, window = cut[name, place]
                crop = study.crops[number, place]
                offset_mm = offsets[place]
                slots.append(Slot(meaning, series_id, instance_number, offset_mm, crop, window))
            else:
                slots.append(Slot(meaning))
        samples[name] = tuple(slots)
    return samples


def _cut_slices(
    study: StudyResults, experiment: Experiment
) -> dict[tuple[SampleName, int], tuple[int, int, Planes]]:
    """Return series, instance number and window of the slice in each sample's slot."""
    choice, config = without_frames(experiment.slices, experiment.crops)
    samples = list_samples(study.slices, config)
    chosen = choose_crops(study.instances, study.slices, samples, choice, config)
    (cuts,) = plan_cuts(chosen, study.instances, study.landmarks, config)
    names: list[SampleName] = samples.select("level", "side").rows()
    files = cuts.files[cuts.file]
    windows = _windows(planes_of(files), cuts.maps)
    numbers = files.select("series_id", "instance_number").rows()
    return {
        (names[row], place): (*number, window)
        for row, place, number, window in zip(cuts.row, cuts.place, numbers, windows, strict=True)
    }


def _windows(images: Planes, maps: npt.NDArray[np.float64]) -> list[Planes]:
    """Return the planes of n crops from those of their images and the maps (n, 2, 3) to these."""
    corners = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    origin, right, down = np.moveaxis(images.to_mm(corners @ maps.transpose(0, 2, 1)), 1, 0)
    rows, columns = right - origin, down - origin
    steps = [np.linalg.norm(each, axis=1, keepdims=True) for each in (columns, rows)]
    spacing = np.hstack(steps)  # (row spacing, column spacing)
    return [
        Planes(*(each[np.newaxis] for each in parts))
        for parts in zip(origin, rows / steps[1], columns / steps[0], spacing, strict=True)
    ]
