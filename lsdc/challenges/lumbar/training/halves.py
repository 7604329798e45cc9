"""The left and the right half of a sample, for mixing samples half by half."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lsdc.challenges.lumbar.config.experiment import Experiment, SlicesConfig
from lsdc.challenges.lumbar.slices.slots import Part, Place, list_places
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, Condition, Side
from lsdc.training.mixing import Half


def build_half(side: Side, experiment: Experiment, own: Sequence[tuple[int, ...]]) -> Half:
    """Return a side's half of a sample: the slices of that side, and its half of axial slices.

    A label of a side rests on that side's slices alone, and on its half of axial slices; the
    canal's rests on middle and axial slices.

    Args:
        side: the patient's side.
        experiment: the settings of slices and crops; crops show both sides.
        own: for each condition the slots that show it best.
    """
    places, width = list_places(experiment.slices), experiment.crops.shape[1]
    sides = [_side_of(place, experiment.slices) for place in places]
    on_right = torch.arange(width) >= width / 2
    # Axial crops show the patient's left on the right.
    shown = on_right if side == Side.LEFT else ~on_right
    columns = torch.stack(
        [
            shown if place.part == Part.AXIAL else torch.full((width,), own == side)
            for place, own in zip(places, sides, strict=True)
        ]
    )
    share = columns.float().mean(dim=1)  # (s,) of the columns of each slice
    axial = torch.tensor([place.part == Part.AXIAL for place in places])
    rests_on, within = [], []
    for condition, best in zip(CONDITIONS, own, strict=True):
        rests_on.append(_rests_on(condition, best, places, sides))
        whole = torch.full_like(share, float(condition.side == side))
        within.append(share if condition.side is None else torch.where(axial, whole, share))
    return Half(columns, torch.stack(rests_on), torch.stack(within))


def _rests_on(
    condition: Condition,
    best: Sequence[int],
    places: Sequence[Place],
    sides: Sequence[Side | None],
) -> Tensor:
    """Return (s,) 1 for the slots that a condition's label rests on, else 0."""
    if condition.side is None:
        own = [n for n, place in enumerate(places) if place.part in (Part.MIDDLE, Part.AXIAL)]
    else:
        own = [n for n in best if sides[n] in (None, condition.side)]
    rests_on = torch.zeros(len(places))
    rests_on[own] = 1.0
    return rests_on


def _side_of(place: Place, config: SlicesConfig) -> Side | None:
    """Return the side that a sagittal slot shows; at equal steps that is half of the slots."""
    if place.part in (Part.LEFT, Part.RIGHT):
        return Side(place.part)
    if place.part == Part.MIDDLE and config.sagittal == "even" and config.stack_order == "position":
        return Side.LEFT if place.number < config.middle_slices / 2 else Side.RIGHT
    return None
