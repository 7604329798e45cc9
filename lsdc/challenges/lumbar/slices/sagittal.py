"""Selection of the slices of a sagittal series that show a level's canal and its two sides."""

from typing import assert_never

import numpy as np

from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.slices.slots import SAGITTAL_PARTS, Part
from lsdc.challenges.lumbar.slices.stacks import MISSING, Floats, Indices, Stack

Parts = dict[Part, Indices]

_SIGN = {Part.LEFT: 1.0, Part.MIDDLE: 0.0, Part.RIGHT: -1.0}


def choose_sagittal(stack: Stack, config: SlicesConfig) -> tuple[Stack, Parts]:
    """Choose the left, middle and right part of one level from one series.

    Args:
        stack: one series; `slices.slice_offsets` defines its offsets.
        config: the slice settings; `sagittal` names the method.

    Returns:
        The stack in the order that was used, and indices into it, `side_slices` or `middle_slices`
        per part, MISSING for empty slots.
    """
    if not config.by_distance and config.stack_order == "instances":
        stack = stack.by_instances()
    match config.sagittal:
        case "distance" | "landmark":
            return stack, {part: _nearest(stack, part, config) for part in SAGITTAL_PARTS}
        case "argmin":
            return stack, {part: _around_nearest(stack, part, config) for part in SAGITTAL_PARTS}
        case "quantiles":
            return stack, {part: _around_quantile(stack, part, config) for part in SAGITTAL_PARTS}
        case "even":
            none = np.empty(0, dtype=np.int64)
            return stack, {Part.LEFT: none, Part.MIDDLE: _even(stack, config), Part.RIGHT: none}
    assert_never(config.sagittal)


def _count(part: Part, config: SlicesConfig) -> int:
    return config.middle_slices if part == Part.MIDDLE else config.side_slices


def _distance_mm(stack: Stack, part: Part, config: SlicesConfig) -> Floats:
    """Return the signed distances (n,) of the slices from the part's expected position."""
    offset_mm = stack.offset_mm
    if config.origin == "scan":
        offset_mm = offset_mm - (offset_mm.max() + offset_mm.min()) / 2
    distance_mm = offset_mm - _SIGN[part] * config.side_distance_mm
    if config.sagittal != "landmark" or part == Part.MIDDLE:
        return distance_mm
    # A level without the landmark falls back to the typical side distance.
    landmark = stack.left_offset_mm if part == Part.LEFT else stack.right_offset_mm
    distance_mm = np.where(np.isfinite(landmark), landmark, distance_mm)
    return np.where(offset_mm * _SIGN[part] > 0, distance_mm, np.inf)


def _tolerance_mm(part: Part, config: SlicesConfig) -> float:
    return config.middle_tolerance_mm if part == Part.MIDDLE else config.side_tolerance_mm


def _nearest(stack: Stack, part: Part, config: SlicesConfig) -> Indices:
    """Return the nearest slices, empty slots outermost; mirroring the patient reverses them."""
    count = _count(part, config)
    distance_mm = _distance_mm(stack, part, config)
    chosen = stack.nearest(distance_mm, count, _tolerance_mm(part, config))
    gap = count - len(chosen)
    if part == Part.MIDDLE:
        in_front = gap // 2
        # An odd empty slot goes to the side that the slices lean away from.
        if gap % 2 and len(chosen) and distance_mm[chosen].mean() < 0:
            in_front += 1
    else:
        in_front = gap if part == Part.LEFT else 0
    places = np.full(count, MISSING, dtype=np.int64)
    places[in_front : in_front + len(chosen)] = chosen
    return places


def _around_nearest(stack: Stack, part: Part, config: SlicesConfig) -> Indices:
    """Return the lab log's argmin slice, moved by `argmin_offset`, and its neighbours."""
    nearest = stack.nearest(_distance_mm(stack, part, config), 1, _tolerance_mm(part, config))
    if not len(nearest):
        return np.full(_count(part, config), MISSING, dtype=np.int64)
    moved = 0 if part == Part.MIDDLE else config.argmin_offset
    if part == Part.LEFT and config.stack_order == "position":
        moved = -moved
    return _neighbours(stack, int(nearest[0]) + moved, part, config)


def _around_quantile(stack: Stack, part: Part, config: SlicesConfig) -> Indices:
    quantile = {Part.LEFT: config.side_quantile, Part.MIDDLE: 0.5, Part.RIGHT: config.side_quantile}
    index = int(quantile[part] * (len(stack) - 1))
    if part == Part.RIGHT:
        index = len(stack) - 1 - index
    return _neighbours(stack, index, part, config)


def _neighbours(stack: Stack, middle: int, part: Part, config: SlicesConfig) -> Indices:
    lean_up = part == Part.RIGHT and config.stack_order == "position"
    return stack.around(middle, _count(part, config), lean_up=lean_up)


def _even(stack: Stack, config: SlicesConfig) -> Indices:
    shares = np.linspace(*config.even_quantiles, config.middle_slices)
    return stack.seen(np.rint(shares * (len(stack) - 1)).astype(np.int64))
