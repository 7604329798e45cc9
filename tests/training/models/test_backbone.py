from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from lsdc.errors import SettingsError
from lsdc.training.models.backbone import create_backbone
from lsdc.training.settings.model import ModelSettings

NAME = "test_resnet.r160_in1k"


def create(
    name: str = NAME,
    *,
    channels: int = 1,
    shape: tuple[int, int] = (32, 32),
    pretrained: bool = False,
    weights: Path | None = None,
    **settings: Any,
) -> Any:
    return create_backbone(
        name,
        ModelSettings(**settings),
        channels=channels,
        shape=shape,
        pretrained=pretrained,
        weights=weights,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write weights under the name under which timm publishes them."""
    torch.manual_seed(7)
    published = timm.create_model(NAME, pretrained=False)
    save_file(published.state_dict(), tmp_path / f"{NAME}.safetensors")
    return tmp_path


@pytest.mark.parametrize("channels", [1, 3, 6])
def test_rgb_weights_are_adapted_to_equal_channels(folder: Path, channels: int) -> None:
    published = timm.create_model(NAME, pretrained=False).eval()
    published.load_state_dict(load_file(folder / f"{NAME}.safetensors"))
    published.reset_classifier(0)
    backbone = create(channels=channels, pretrained=True, weights=folder).eval()
    grey = torch.randn(2, 1, 32, 32)
    expected = published(grey.expand(-1, 3, -1, -1))
    torch.testing.assert_close(
        backbone(grey.expand(-1, channels, -1, -1)), expected, rtol=1e-3, atol=1e-4
    )


def test_weights_may_be_a_file_or_a_folder_per_model(folder: Path) -> None:
    by_folder = create(pretrained=True, weights=folder)
    (folder / NAME).mkdir()
    here = (folder / f"{NAME}.safetensors").rename(folder / NAME / "model.safetensors")
    for weights in (folder, here):
        again = create(pretrained=True, weights=weights)
        assert torch.equal(again.conv1[0].weight, by_folder.conv1[0].weight)


def test_error_for_missing_weights_says_where_to_fetch_them(tmp_path: Path) -> None:
    expected = (
        rf"^--weights {tmp_path}: no weights of {NAME} found, expected "
        rf"{tmp_path}/{NAME}.safetensors; fetch https://huggingface.co/timm/{NAME}, "
        "or use --no-pretrained$"
    )
    with pytest.raises(SettingsError, match=expected):
        create(pretrained=True, weights=tmp_path)


@pytest.mark.parametrize("content", [{"conv1.weight": torch.zeros(3)}, None])
def test_weights_of_another_model_are_refused(
    tmp_path: Path, content: dict[str, torch.Tensor] | None
) -> None:
    file = tmp_path / "other.safetensors"
    if content is None:
        file.write_bytes(b"not weights")
    else:
        save_file(content, file)
    with pytest.raises(SettingsError, match=f"not the weights of {NAME}"):
        create(pretrained=True, weights=file)


def test_unreachable_pretrained_weights_are_an_error_of_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(SettingsError) as raised:
        create("resnet10t", pretrained=True)
    assert "fetch https://huggingface.co/timm/resnet10t.c3_in1k into" in str(raised.value)
    assert "--no-pretrained" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("resnet19d", "did you mean 'resnet"),
        ("resnet10t.c3_in2k", "did you mean 'resnet10t.c3_in1k"),
    ],
)
def test_unknown_backbone_is_refused_with_a_suggestion(name: str, hint: str) -> None:
    with pytest.raises(SettingsError, match=f"timm has no model '{name}'; {hint}"):
        create(name)


def test_settings_that_a_backbone_does_not_support_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"timm cannot create vgg11 with .*drop_path_rate"):
        create("vgg11", drop_path=0.1)
    with pytest.raises(SettingsError, match="has no map of features to pool by 'gem'"):
        create("test_vit", map_pool="gem")


@pytest.mark.parametrize("name", [NAME, "test_convnext", "test_efficientnet", "lcnet_035"])
def test_feature_maps_are_pooled_as_configured(name: str) -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 1, 96, 96)
    pooled = {}
    for map_pool in ("avg", "max", "gem"):
        torch.manual_seed(1)
        backbone = create(name, map_pool=map_pool).eval()
        pooled[map_pool] = backbone(images)
        assert pooled[map_pool].shape == (2, backbone.head_hidden_size)
    assert not torch.allclose(pooled["avg"], pooled["max"])
    assert not torch.allclose(pooled["avg"], pooled["gem"])


@pytest.mark.parametrize("name", ["test_coatnet", "test_maxvit", "test_vit"])
def test_backbones_with_a_fixed_image_size_are_built_for_the_size(name: str) -> None:
    for shape in ((64, 64), (96, 64)):
        backbone = create(name, shape=shape).eval()
        assert backbone(torch.randn(1, 1, *shape)).isfinite().all()


def test_stochastic_depth_drops_blocks_in_training_only() -> None:
    torch.manual_seed(0)
    backbone = create("test_convnext", drop_path=0.5)
    images = torch.randn(2, 1, 32, 32)
    assert not torch.equal(backbone.train()(images), backbone(images))
    assert torch.equal(backbone.eval()(images), backbone(images))
