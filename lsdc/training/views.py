"""Views of a batch for test-time augmentation: rotated, zoomed, or with shifted slices.

A view keeps the device and the type of the pixels. It is a fixed change, without random numbers.
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from lsdc.training.samples import Batch
from lsdc.training.settings.views import PlaneViewSettings, ViewSettings
from lsdc.training.slice_order import Parts, shifted_order

View = Callable[[Batch], Batch]
"""Changes a batch; its samples keep their order."""


def unchanged(batch: Batch) -> Batch:
    """Return the batch itself: the view that is always predicted."""
    return batch


def list_views(settings: ViewSettings, parts: Parts) -> Iterator[View]:
    """Yield the views of the settings, in the order of their declaration.

    Args:
        settings: the settings.
        parts: the parts of a sample, whose slices are shifted together.
    """
    yield from list_plane_views(settings)
    yield from (shift_by(places, parts) for places in settings.slice_shift)


def list_plane_views(settings: PlaneViewSettings) -> Iterator[View]:
    """Yield the views within the plane of the slices, in the order of their declaration."""
    yield from (rotate_by(degrees) for degrees in settings.rotate)
    yield from (zoom_by(factor) for factor in settings.zoom)


def rotate_by(degrees: float) -> View:
    """Return the view whose slices are rotated counter-clockwise about their centre."""
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))

    def view(batch: Batch) -> Batch:
        height, width = batch.slices.shape[-2:]
        # Coordinates of the grid are fractions of the height and of the width.
        x_to_y, y_to_x = sine * width / height, -sine * height / width
        return _resample(batch, [[cosine, y_to_x, 0.0], [x_to_y, cosine, 0.0]])

    return view


def zoom_by(factor: float) -> View:
    """Return the view whose slices are magnified about their centre."""
    return magnify_at(factor, right=0.0, down=0.0)


def magnify_at(factor: float, *, right: float, down: float) -> View:
    """Return the view whose slices are magnified about a point, which stays where it is.

    Args:
        factor: the magnification.
        right: the point's place, from -1 at the left edge to 1 at the right edge.
        down: the same, from the upper to the lower edge.
    """
    share = 1 / factor
    to_source = [[share, 0.0, (1 - share) * right], [0.0, share, (1 - share) * down]]
    return lambda batch: _resample(batch, to_source)


def flip_columns(batch: Batch) -> Batch:
    """Return the batch with each slice flipped, its first column last."""
    return batch._replace(slices=batch.slices.flip(-1))


def in_turn(*views: View) -> View:
    """Return the view that changes a batch by one view after the other."""

    def view(batch: Batch) -> Batch:
        for change in views:
            batch = change(batch)
        return batch

    return view


def shift_by(places: int, parts: Parts) -> View:
    """Return the view whose slices are shifted within their parts; see `shifted_order`."""

    def view(batch: Batch) -> Batch:
        order, vacated = map(torch.from_numpy, shifted_order(batch.slices.shape[1], parts, places))
        slices, present = batch.slices[:, order], batch.present[:, order]
        slices[:, vacated], present[:, vacated] = 0, False
        return batch._replace(slices=slices, present=present)

    return view


def _resample(batch: Batch, to_source: list[list[float]]) -> Batch:
    """Return the batch with slices resampled linearly; outside, the border is repeated.

    Args:
        batch: slices (b, s, h, w).
        to_source: (2, 3) affine map from the (x, y) of the result to those of the slices, from -1
            to 1, as in `torch.nn.functional.affine_grid`.
    """
    slices = batch.slices
    pixels = slices if slices.is_floating_point() else slices.float()
    theta = torch.tensor(to_source, device=slices.device).expand(len(slices), 2, 3)
    grid = affine_grid(theta, [len(slices), 1, *slices.shape[-2:]], align_corners=False)
    found: Tensor = grid_sample(pixels, grid, padding_mode="border", align_corners=False)
    if not slices.is_floating_point():
        found = found.round().to(slices.dtype)  # as the augmentation of training does
    return batch._replace(slices=found)
