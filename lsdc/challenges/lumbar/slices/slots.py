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
        number: the slot's number within that part, from 0; those of spare slots are below 0 or
            beyond the last one.
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
    return tuple(
        place for place in list_stored(config) if 0 <= place.number < _count(place, config)
    )


def list_stored(config: SlicesConfig) -> tuple[Place, ...]:
    """Return the slots that are stored: those of a sample, and `spare_slices` around each part.

    >>> config = SlicesConfig(side_slices=0, middle_slices=1, axial_slices=2, spare_slices=1)
    >>> [(place.name, place.number) for place in list_stored(config)][3:]
    [('T2 middle', -1), ('T2 middle', 0), ('T2 middle', 1), \
('axial 0', -1), ('axial 1', 0), ('axial 2', 1), ('axial 3', 2)]
    """
    t1, t2 = SeriesDescription.SAGITTAL_T1, SeriesDescription.SAGITTAL_T2
    blocks = [(description, part) for description in (t1, t2) for part in SAGITTAL_PARTS]
    if config.group_by == "side":
        blocks.sort(key=lambda block: SAGITTAL_PARTS.index(block[1]))
    left_out = [(t1, Part.MIDDLE)] * (not config.t1_middle)
    left_out += [(t2, Part.LEFT), (t2, Part.RIGHT)] * (not config.t2_sides)
    blocks.append((SeriesDescription.AXIAL_T2, Part.AXIAL))
    spare = config.spare_slices
    return tuple(
        Place(description, part, number)
        for description, part in blocks
        if (description, part) not in left_out
        if (count := _count(Place(description, part, 0), config))
        for number in range(-spare, count + spare)
    )


def stored_places(config: SlicesConfig) -> list[int]:
    """Return, for each slot of a sample, its number among the stored slots.

    >>> config = SlicesConfig(side_slices=0, middle_slices=1, axial_slices=2, spare_slices=1)
    >>> stored_places(config)
    [1, 4, 7, 8]
    """
    stored = {place: number for number, place in enumerate(list_stored(config))}
    return [stored[place] for place in list_places(config)]


def _count(place: Place, config: SlicesConfig) -> int:
    """Return the number of slots of a place's part."""
    counts = {Part.MIDDLE: config.middle_slices, Part.AXIAL: config.axial_slices}
    return counts.get(place.part, config.side_slices)


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
    return _mirrored(list_places(config), config)


def mirrored_stored(config: SlicesConfig) -> list[int]:
    """Return the same for the stored slots; see `list_stored`."""
    return _mirrored(list_stored(config), config)


def _mirrored(places: tuple[Place, ...], config: SlicesConfig) -> list[int]:
    number_of = {place: number for number, place in enumerate(places)}
    return [number_of[_place_in_mirror(place, config)] for place in places]


def _place_in_mirror(place: Place, config: SlicesConfig) -> Place:
    by_instances = not config.by_distance and config.stack_order == "instances"
    # The mirror image has the same order of instances, so these slices keep their slots.
    if place.part == Part.AXIAL or (by_instances and config.sagittal != "argmin"):
        return place
    part = {Part.LEFT: Part.RIGHT, Part.RIGHT: Part.LEFT}.get(place.part, place.part)
    number = place.number if by_instances else _count(place, config) - 1 - place.number
    return Place(place.description, part, number)
