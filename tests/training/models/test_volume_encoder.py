"""Encoding the slices of volumes: each has a vector of its own, which sees its volume alone."""

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from lsdc.training.models.auxiliary import View
from lsdc.training.models.model import SliceModel, Task
from lsdc.training.settings.model import ModelSettings
from tests.training.runs import altered

SETTINGS = ModelSettings(
    encoder="volume",
    backbone="resnet10",
    encoder_width=4,
    pretrained=False,
    pixels="plain",
    width=8,
)
# Two series of five and of two slices; their places alternate.
FIRST, SECOND = (0, 2, 4, 5, 6), (1, 3)
TASK = Task(
    7, (32, 32), heads=2, classes=3, views=(View(FIRST, heads=(0,)), View(SECOND, heads=(1,)))
)


def build(**changes: object) -> SliceModel:
    torch.manual_seed(0)
    return SliceModel(altered(SETTINGS, **changes), TASK, pretrained=False).eval()


def encoded(model: SliceModel, slices: Tensor, present: Tensor) -> Tensor:
    with torch.no_grad():
        return model.encode(slices, present)[0]


def noise(samples: int = 2) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    slices = torch.randint(0, 256, (samples, 7, 32, 32), dtype=torch.uint8)
    return slices, torch.ones(samples, 7, dtype=torch.bool)


@pytest.mark.parametrize("map_pool", ["avg", "max", "gem"])
def test_every_slice_has_a_vector(map_pool: str) -> None:
    model = build(map_pool=map_pool)
    slices, present = noise()
    features, seen = model.encode(slices, present)
    assert features.shape == (2, 7, 8)
    assert seen.all()
    assert model.images == tuple((place,) for place in range(7))
    assert model.together == (FIRST, SECOND)
    outputs = model.train()(slices, present)
    assert outputs.grades.shape == (2, 2, 3)
    outputs.grades.sum().backward()
    assert all(each.grad is not None for each in model.encoders.parameters())


def test_a_slice_is_seen_by_its_neighbours_in_its_volume_alone() -> None:
    model, (slices, present) = build(), noise(1)
    before = encoded(model, slices, present)
    slices[:, 2] = 255 - slices[:, 2]
    changed = (encoded(model, slices, present) - before).abs().amax(dim=-1)[0] > 1e-6
    assert changed[list(FIRST)].all()
    assert not changed[list(SECOND)].any()


def test_a_volume_is_encoded_alike_beside_others_and_longer_ones() -> None:
    model, (slices, present) = build(), noise(2)
    whole = encoded(model, slices, present)
    present[:, list(FIRST)] = False
    torch.testing.assert_close(
        encoded(model, slices, present)[:, list(SECOND)], whole[:, list(SECOND)]
    )
    torch.testing.assert_close(encoded(model, slices[1:], present[1:])[0, 1], whole[1, 1])


def test_pixels_of_absent_slices_have_no_effect() -> None:
    model, (slices, present) = build(pixels="sample"), noise(1)
    present[0, 4] = False
    with torch.no_grad():
        model.encoders[0].get_parameter("absent")[4] = 3.0  # the fifth of (0, 2, 4, 5, 6), (1, 3)
    before = encoded(model, slices, present)
    slices[0, 4] = 0
    assert torch.equal(encoded(model, slices, present), before)
    assert not model.encode(slices, present)[1][0, 4]
    nothing = encoded(model, slices, torch.zeros_like(present)) - model.places
    torch.testing.assert_close(nothing[0, 6], torch.full((8,), 3.0))  # the fifth one encoded
    torch.testing.assert_close(nothing[0, :6], torch.zeros(6, 8))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"backbone": "resnet18d"}, "expected one of resnet10, .* with encoder 'volume'"),
        ({"pretrained": True}, "encoder 'volume' has no pretrained weights"),
        ({"pixels": "pretraining"}, "pixels other than 'pretraining'"),
        ({"drop_path": 0.1}, "drop_path has no effect with encoder 'volume'"),
        ({"slices_as": "threes"}, "slices_as has no effect with encoder 'volume'"),
        ({"encoder": "slices"}, "encoder_width has no effect: expected encoder 'volume'"),
    ],
)
def test_settings_that_a_volume_does_not_have_are_refused(
    changes: dict[str, object], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        altered(SETTINGS, **changes)
