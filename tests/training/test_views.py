"""Views of a batch: what is rotated, zoomed and shifted, and that they are predicted one by one."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from lsdc.training.augment import shift_slices
from lsdc.training.inference import predict_logits, predict_views
from lsdc.training.models.outputs import Outputs
from lsdc.training.samples import Batch, Labels, Samples, batch_of
from lsdc.training.settings.views import ViewSettings
from lsdc.training.slice_order import shifted_order
from lsdc.training.views import (
    View,
    flip_columns,
    in_turn,
    list_views,
    magnify_at,
    rotate_by,
    shift_by,
    unchanged,
    zoom_by,
)

CPU = torch.device("cpu")
PARTS = [[0, 1, 2], [3]]


@pytest.fixture
def batch(blobs: Samples) -> Batch:
    return batch_of(blobs, range(6))


def batch_of_image(image: Tensor) -> Batch:
    """Return a batch of one sample with one slice."""
    present = torch.ones(1, 1, dtype=torch.bool)
    return Batch([0], image[None, None], present, Labels(torch.zeros(1, 1, dtype=torch.int64)))


def distances(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the distances of pixels from the centre, downwards and to the right."""
    y, x = np.mgrid[:height, :width]
    return torch.tensor(y - (height - 1) / 2), torch.tensor(x - (width - 1) / 2)


def test_quarter_turns_are_those_of_the_array(batch: Batch) -> None:
    for turns in (1, 2, 3):
        found = rotate_by(90 * turns)(batch).slices
        expected = torch.rot90(batch.slices, turns, dims=(-2, -1))  # counter-clockwise
        assert found.dtype == torch.uint8
        assert (found.int() - expected.int()).abs().max() <= 1


def test_rotation_keeps_distances_in_an_image_that_is_not_square() -> None:
    y, x = distances(48, 96)
    image = torch.exp(-(((x - 12) ** 2 + y**2) / 18)).float()  # a spot right of the centre
    found = rotate_by(90)(batch_of_image(image)).slices[0, 0]
    expected = torch.exp(-((x**2 + (y + 12) ** 2) / 18))  # as far above it
    assert (found - expected).abs().max() < 0.02


@pytest.mark.parametrize("degrees", [-170, -10, 5, 33.3])
def test_rotation_of_a_radially_symmetric_image_changes_nothing(degrees: float) -> None:
    y, x = distances(64, 64)
    image = (120 + 100 * torch.cos(torch.hypot(y, x) / 6)).clamp(0, 255)
    inside = torch.hypot(y, x) < 31  # the border is repeated outside
    # Of 200 grey values: by linear interpolation, and by rounding to whole ones.
    for pixels, most in ((image.float(), 0.8), (image.round().to(torch.uint8), 2.2)):
        found = rotate_by(degrees)(batch_of_image(pixels)).slices[0, 0]
        assert (found.float() - pixels.float()).abs()[inside].max() <= most


def test_zoom_magnifies_about_the_centre() -> None:
    y, x = distances(64, 64)
    small, large = (torch.exp(-(x**2 + y**2) / radius**2).float() for radius in (10, 20))
    inside = (x.abs() < 15) & (y.abs() < 15)  # the border is repeated outside
    for factor, before, after in ((2, small, large), (0.5, large, small)):
        found = zoom_by(factor)(batch_of_image(before)).slices[0, 0]
        assert (found - after).abs()[inside].max() < 0.01
        assert (before - after).abs()[inside].max() > 0.1


@pytest.mark.parametrize(("right", "down"), [(-1, -1), (1, -1), (-1, 1), (1, 1), (0.5, 0)])
def test_magnifying_keeps_the_point_that_it_is_about(right: float, down: float) -> None:
    y, x = distances(64, 64)
    at_y, at_x = 32 * down, 32 * right  # from the centre, in pixels
    before, after = (
        torch.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / radius**2).float() for radius in (8, 16)
    )
    found = magnify_at(2, right=right, down=down)(batch_of_image(before)).slices[0, 0]
    assert (found - after).abs().max() < 0.02


def test_flip_turns_columns_around_and_views_follow_each_other(batch: Batch) -> None:
    assert torch.equal(flip_columns(batch).slices, batch.slices.flip(dims=[-1]))
    both = in_turn(flip_columns, flip_columns)
    assert torch.equal(both(batch).slices, batch.slices)
    corner = magnify_at(1.35, right=1, down=0)
    other = in_turn(flip_columns, magnify_at(1.35, right=-1, down=0), flip_columns)
    difference = corner(batch).slices.int() - other(batch).slices.int()
    assert difference.abs().max() <= 1


def test_shifted_batch_equals_the_shifted_samples(blobs: Samples, batch: Batch) -> None:
    for places in (-2, -1, 1, 2):
        found = shift_by(places, PARTS)(batch)
        for number in range(6):
            expected = shift_slices(blobs[number], PARTS, places)
            assert np.array_equal(found.slices[number], expected.slices)
            assert np.array_equal(found.present[number], expected.present)
    order, vacated = shifted_order(4, PARTS, 0)
    assert (order.tolist(), vacated.any()) == ([0, 1, 2, 3], False)


def test_absent_slices_stay_absent_and_the_batch_itself_is_unchanged(batch: Batch) -> None:
    before = batch.slices.clone(), batch.present.clone()
    assert not batch.present[0, 3]
    assert not batch.present.all()
    settings = ViewSettings(rotate=(10, -10), zoom=(1.1,), slice_shift=(1,))
    views = list(list_views(settings, PARTS))
    assert len(views) == 4
    for view in views[:3]:
        assert torch.equal(view(batch).present, batch.present)
    shifted = views[3](batch).present
    assert not shifted[:, 0].any()
    assert torch.equal(shifted[:, 3], batch.present[:, 3])  # a part of one slice is unchanged
    assert torch.equal(before[0], batch.slices)
    assert torch.equal(before[1], batch.present)


class MeanGrey(nn.Module):
    """Return the mean grey value of each of two slices as logits (b, 2, 1)."""

    def forward(self, slices: Tensor, present: Tensor, _: Tensor | None) -> Outputs:
        grey = slices[:, :2].float().mean(dim=(-2, -1)) * present[:, :2]
        return Outputs(grey.unsqueeze(-1))


def predicted(samples: Samples, views: list[View], batch_size: int) -> Tensor:
    found = predict_views(MeanGrey(), samples, views, batch_size=batch_size, device=CPU)
    return torch.stack([outputs.grades for outputs in found])


def test_each_view_of_each_sample_is_predicted_in_order(blobs: Samples) -> None:
    views: list[View] = [unchanged, zoom_by(2), shift_by(1, PARTS), unchanged]
    done: list[int] = []
    outputs = predict_views(
        MeanGrey(), blobs, views, batch_size=7, device=CPU, on_batch=done.append
    )
    found = torch.stack([each.grades for each in outputs])
    assert found.shape == (4, 24, 2, 1)
    assert done == [7, 14, 21, 24]
    plain = predict_logits(MeanGrey(), blobs, batch_size=7, device=CPU)
    assert torch.equal(found[0], plain)
    assert torch.equal(found[3], plain)
    assert not torch.equal(found[1], plain)
    assert torch.equal(found[2][:, 1], plain[:, 0])  # the first slice moved to the second slot
    assert not found[2][:, 0].any()
    assert torch.allclose(predicted(blobs, views, 24), found)


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("rotate", (10.0, 0.0)),
        ("rotate", (10.0, 10.0)),
        ("zoom", (1.0,)),
        ("slice_shift", (1, 0)),
        ("zoom", (3.0,)),
    ],
)
def test_view_that_is_predicted_anyway_or_out_of_bounds_is_refused(
    setting: str, values: tuple[float, ...]
) -> None:
    with pytest.raises(ValidationError, match=setting):
        ViewSettings.model_validate({setting: values})
