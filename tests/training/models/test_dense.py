"""Networks of targets that are images: shapes, groups, depth, and a planted answer."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from lsdc.errors import SettingsError
from lsdc.training.losses.dense import DenseLoss
from lsdc.training.models.blend import Blend
from lsdc.training.models.dense.depth import PoolDepth, ResidualBlock3d
from lsdc.training.models.dense.encoders import Layout
from lsdc.training.models.dense.model import DenseModel, enlarge
from lsdc.training.samples import Labels
from lsdc.training.settings.dense import DenseLossSettings, DenseModelSettings

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {"pretrained": False, "width": 16, "blocks": 1, "backbone": "test_resnet"}
SMALL_3D = {
    "pretrained": False,
    "width": 16,
    "encoder": "volume",
    "backbone": "resnet10",
    "encoder_width": 4,
}
UNET = {"decoder": "unet", "decoder_width": 8}


def build(layout: Layout, **settings: Any) -> DenseModel:
    torch.manual_seed(0)
    return DenseModel(DenseModelSettings(**settings), layout, pretrained=False)


def noise(layout: Layout, samples: int = 2) -> tuple[Tensor, Tensor]:
    chance = torch.Generator().manual_seed(1)
    shape = (samples, layout.layers, *layout.shape)
    slices = torch.randint(0, 256, shape, dtype=torch.uint8, generator=chance)
    return slices, torch.ones(samples, layout.layers, dtype=torch.bool)


@pytest.mark.parametrize(
    ("settings", "groups", "channels"),
    [
        (SMALL | {"stride": 32}, 5, 7),
        (SMALL | UNET | {"stride": 4, "depth_pool": "attention"}, 5, 3),
        (SMALL | UNET | {"stride": 1, "depth_pool": "max", "norm": "layer"}, 2, 3),
        (SMALL_3D | {"stride": 32, "depth_pool": "mean"}, 16, 1),
        (SMALL_3D | UNET | {"stride": 2}, 9, 2),
    ],
)
def test_logits_have_a_cell_for_each_stride(
    settings: dict[str, Any], groups: int, channels: int
) -> None:
    layout = Layout(groups, channels, (64, 96))
    model = build(layout, **settings)
    logits = model(*noise(layout)).grades
    stride = settings["stride"]
    assert model.stride == stride
    assert logits.shape == (2, 1, 64 // stride, 96 // stride)
    assert logits.isfinite().all()


def test_maps_of_windowed_transformers_have_their_features_first() -> None:
    small = SMALL | {"backbone": "swinv2_tiny_window8_256"}
    with torch.no_grad():
        logits = build(Layout(2, 3, (64, 64)), **small)(*noise(Layout(2, 3, (64, 64)), 1)).grades
    assert logits.shape == (1, 1, 2, 2)


@pytest.mark.parametrize("settings", [SMALL, SMALL_3D], ids=["groups", "volume"])
def test_brightness_and_contrast_of_a_sample_have_no_effect(settings: dict[str, Any]) -> None:
    layout = Layout(4, 2, (64, 64))
    model = build(layout, **settings).eval()
    slices, present = noise(layout)
    shares = slices.float() / 255
    with torch.no_grad():
        found = model(shares, present).grades
        torch.testing.assert_close(model(slices, present).grades, found)
        duller = model(0.25 * shares + 0.5, present).grades
    torch.testing.assert_close(duller, found, rtol=1e-3, atol=1e-4)


def test_layers_are_normalised_one_by_one_if_asked() -> None:
    layout = Layout(4, 2, (64, 64))
    model = build(layout, **SMALL, pixels="layer").eval()
    slices, present = noise(layout)
    scale = torch.linspace(0.2, 0.9, 8).view(8, 1, 1)
    with torch.no_grad():
        found = model(slices.float() / 255, present).grades
        other = model(slices.float() / 255 * scale + 0.1 * (1 - scale), present).grades
    torch.testing.assert_close(other, found, rtol=1e-3, atol=1e-4)


def test_residual_blocks_start_as_the_identity() -> None:
    maps = torch.rand(2, 8, 3, 4, 4)
    assert torch.equal(ResidualBlock3d(8, "batch").train()(maps), maps)
    assert torch.equal(ResidualBlock3d(8, "layer")(maps), maps)


def test_depth_is_pooled_as_named() -> None:
    maps = torch.randn(2, 3, 5, 4, 6)
    mean, highest = maps.mean(dim=2), maps.amax(dim=2)
    torch.testing.assert_close(PoolDepth("mean", 3)(maps), mean)
    torch.testing.assert_close(PoolDepth("max", 3)(maps), highest)
    torch.testing.assert_close(PoolDepth("mean_max", 3)(maps), torch.cat([mean, highest], dim=1))
    attention = PoolDepth("attention", 3)
    torch.nn.init.zeros_(attention.score.weight)
    torch.testing.assert_close(attention(maps), mean)  # equal scores are equal weights
    torch.nn.init.constant_(attention.score.weight, 1e4)
    best = maps.sum(dim=1).argmax(dim=1)  # (b, h, w)
    expected = maps.gather(2, best[:, None, None].expand(-1, 3, 1, -1, -1)).squeeze(2)
    torch.testing.assert_close(attention(maps), expected)


@pytest.mark.parametrize("settings", [SMALL, SMALL | UNET | {"stride": 4}])
def test_features_are_blended_ahead_of_the_head(settings: dict[str, Any]) -> None:
    layout = Layout(2, 3, (64, 64))
    model = build(layout, **settings).eval()
    slices, present = noise(layout)
    other = torch.tensor([1, 0])
    with torch.no_grad():
        plain = model(slices, present).grades
        whole = model(slices, present, blend=Blend(other, 0.0)).grades
        half = model(slices, present, blend=Blend(other, 0.5)).grades
    torch.testing.assert_close(whole, plain[other])
    torch.testing.assert_close(half[0], half[1])


def test_a_size_that_is_no_multiple_of_the_strides_is_refused() -> None:
    with pytest.raises(SettingsError, match="48 x 64 px: expected multiples of 32 px"):
        build(Layout(2, 3, (64, 48)), **SMALL)


def test_a_transformer_with_maps_of_one_size_is_refused() -> None:
    with pytest.raises(SettingsError, match="expected strides that double up to 32"):
        build(Layout(1, 3, (64, 64)), **SMALL | {"backbone": "test_vit2"})


def test_enlarging_keeps_the_middle_of_a_cell() -> None:
    cells = torch.arange(4.0).view(1, 1, 1, 4).expand(1, 1, 2, 4)
    enlarged = enlarge(cells, (8, 16))
    centres = (enlarged[..., 1::4] + enlarged[..., 2::4]) / 2
    torch.testing.assert_close(centres[0, 0, 0, 1:-1], torch.arange(1.0, 3.0))


@pytest.mark.parametrize(
    "settings",
    [
        {
            "encoder": "volume",
            "backbone": "resnet10",
            "pretrained": False,
            "encoder_width": 4,
            "width": 16,
            "depth_pool": "max",
            "stride": 4,
            **UNET,
        },
        {**SMALL, "stride": 4, **UNET},
    ],
    ids=["volume", "groups"],
)
def test_a_planted_dot_field_is_learnt_at_any_depth(settings: dict[str, Any]) -> None:
    layout = Layout(3, 2, (32, 32))
    model = build(layout, **settings)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-2)
    loss = DenseLoss(DenseLossSettings(bce=1.0, fbeta=1.0))
    chance = torch.Generator().manual_seed(0)

    def draw(samples: int) -> tuple[Tensor, Labels[Tensor]]:
        """Draw dots of 6 px, each bright on one layer and dark on the next, which cancel out."""
        dots = torch.rand(samples, 1, 32, 32, generator=chance) > 0.996
        dots = max_pool2d(dots.float(), 7, stride=1, padding=3)
        volume = 0.3 * torch.randn(samples, 6, 32, 32, generator=chance)
        first = int(torch.randint(0, 5, (), generator=chance))
        volume[:, first] += dots[:, 0]
        volume[:, first + 1] -= dots[:, 0]
        return volume, Labels(torch.nn.functional.avg_pool2d(dots, 4))

    present = torch.ones(16, 6, dtype=torch.bool)
    for _ in range(40):
        volume, labels = draw(16)
        optimiser.zero_grad()
        loss(model(volume, present), labels).backward()
        optimiser.step()
    volume, labels = draw(16)
    with torch.no_grad():
        found = model.eval()(volume, present).grades.sigmoid()
    truth = labels.grades > 0.5
    inked, bare = found[truth].mean(), found[~truth].mean()
    assert inked - bare > 0.5, (inked, bare)
