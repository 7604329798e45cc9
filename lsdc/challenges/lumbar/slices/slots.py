"""Slots: the meaning of each slice of a sample, in the order in which the model sees them."""

from dataclasses import dataclass
from enum import StrEnum

from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.vocabulary import SeriesDescription


class Part(StrEnum):
    """The parts of a level; sagittal ones are named for the patient's side."""

    LEFT = "left"
    MIDDLE = "middle"
    RIGHT = "right"
    AXIAL = "axial"


SAGITTAL_PARTS = (Part.LEFT, Part.MIDDLE, Part.RIGHT)
_SHORT = {SeriesDescription.SAGITTAL_T1: "T1", SeriesDescription.SAGITTAL_T2: "T2"}


@dataclass(frozen=True)
class Place:
    """A slot for one slice of a sample.

    Attributes:
        description: the kind of series that the slice is taken from.
        part: the part of the level.
        number: the slot's number within that part, from 0.
    """

    description: SeriesDescription
    part: Part
    number: int

    @property
    def name(self) -> str:
        """A heading: "T1 left", "T2 middle", "axial 1"."""
        if self.part == Part.AXIAL:
            return f"{self.part} {self.number + 1}"
        return f"{_SHORT[self.description]} {self.part}"


def list_places(config: SlicesConfig) -> tuple[Place, ...]:
    """Return the slots of a sample, `config.count` of them, axial ones last."""
    t1, t2 = SeriesDescription.SAGITTAL_T1, SeriesDescription.SAGITTAL_T2
    blocks = [(description, part) for description in (t1, t2) for part in SAGITTAL_PARTS]
    if config.group_by == "side":
        blocks.sort(key=lambda block: SAGITTAL_PARTS.index(block[1]))
    left_out = [(t1, Part.MIDDLE)] * (not config.t1_middle)
    left_out += [(t2, Part.LEFT), (t2, Part.RIGHT)] * (not config.t2_sides)
    blocks.append((SeriesDescription.AXIAL_T2, Part.AXIAL))
    counts = {Part.MIDDLE: config.middle_slices, Part.AXIAL: config.axial_slices}
    return tuple(
        Place(description, part, number)
        for description, part in blocks
        if (description, part) not in left_out
        for number in range(counts.get(part, config.side_slices))
    )


def list_parts(config: SlicesConfig) -> list[list[int]]:
    """Return the numbers of the slots of each part of each kind of series; they are contiguous."""
    parts: dict[tuple[SeriesDescription, Part], list[int]] = {}
    for number, place in enumerate(list_places(config)):
        parts.setdefault((place.description, place.part), []).append(number)
    return list(parts.values())


def mirrored_places(config: SlicesConfig) -> list[int]:
    """Return, for each slot, the one whose slice the patient's mirror image would have there.

    This is exact for sagittal slices by distance, landmark and argmin. At quantiles or equal steps,
    a slice of the mirror image may be off by one, as an even number of slices has no middle one.

    >>> config = SlicesConfig(side_slices=1, middle_slices=1, axial_slices=1, t2_sides=False)
    >>> [place.name for place in list_places(config)]
    ['T1 left', 'T1 middle', 'T1 right', 'T2 middle', 'axial 1']
    >>> mirrored_places(config)
    [2, 1, 0, 3, 4]
    """
    places = list_places(config)
    number_of = {place: number for number, place in enumerate(places)}
    return [number_of[_place_in_mirror(place, config)] for place in places]


def _place_in_mirror(place: Place, config: SlicesConfig) -> Place:
    by_instances = not config.by_distance and config.stack_order == "instances"
    # The mirror image has the same order of instances, so these slices keep their slots.
    if place.part == Part.AXIAL or (by_instances and config.sagittal != "argmin"):
        return place
    part = {Part.LEFT: Part.RIGHT, Part.RIGHT: Part.LEFT}.get(place.part, place.part)
    count = config.middle_slices if part == Part.MIDDLE else config.side_slices
    number = place.number if by_instances else count - 1 - place.number
    return Place(place.description, part, number)
