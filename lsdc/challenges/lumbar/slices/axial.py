"""Selection of the axial slices that show a level, over all series and stacks of a study."""

from typing import assert_never

import numpy as np

from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.slices.stacks import MISSING, Indices, Stack


def choose_axial(
    stack: Stack, config: SlicesConfig, *, image_share: float
) -> tuple[Stack, Indices]:
    """Choose the axial slices of one level, from top to bottom.

    Args:
        stack: all axial slices of the study; `slices.slice_offsets` defines their offsets.
        config: the slice settings; `axial` names the method.
        image_share: the level's height in the sagittal image, 0 at the top and 1 at the bottom;
            NaN without an image.

    Returns:
        The stack in the order that was used, and `axial_slices` indices into it, MISSING for empty
        slots.
    """
    nothing = np.full(config.axial_slices, MISSING, dtype=np.int64)
    match config.axial:
        case "proportion":
            return _by_proportion(stack, image_share, config)
        case "argmin":
            nearest = stack.nearest(stack.offset_mm, 1, config.axial_tolerance_mm)
            return _around(stack, int(nearest[0]), config) if len(nearest) else (stack, nothing)
        case "distance" | "height":
            distance_mm = stack.height_mm if config.axial == "height" else stack.offset_mm
            chosen = stack.nearest(distance_mm, config.axial_slices, config.axial_tolerance_mm)
            nothing[: len(chosen)] = chosen
            return stack, nothing
    assert_never(config.axial)


def _around(stack: Stack, nearest: int, config: SlicesConfig) -> tuple[Stack, Indices]:
    """Return the nearest slice and its neighbours in its stack, or in its series by instance."""
    here = stack.series_id == stack.series_id[nearest]
    if config.stack_order == "position":
        here &= stack.stack == stack.stack[nearest]
    own = stack.take(np.flatnonzero(here))
    if config.stack_order == "instances":
        own = own.by_instances()
    middle = int(np.flatnonzero(own.row == stack.row[nearest])[0])
    return own, own.around(middle, config.axial_slices)


def _by_proportion(stack: Stack, image_share: float, config: SlicesConfig) -> tuple[Stack, Indices]:
    """Choose slices of the longest series at the level's relative height in the sagittal image."""
    ids, images = np.unique(stack.series_id, return_counts=True)
    own = stack.take(np.flatnonzero(stack.series_id == ids[images.argmax()]))
    if config.stack_order == "instances":
        own = own.by_instances()
    if not np.isfinite(image_share):
        return own, np.full(config.axial_slices, MISSING, dtype=np.int64)
    share = min(max(image_share, 0.0), 1.0)
    return own, own.around(int(share * (len(own) - 1)), config.axial_slices)
