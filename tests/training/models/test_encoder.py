import pytest
import timm
import torch

from lsdc.training.models.encoder import Encoder
from lsdc.training.settings.model import ModelSettings

# They have a layer between the last feature map and the classifier.
WIDENED = ["mobilenetv4_conv_small", "mobilenetv3_small_050", "ghostnet_050", "efficientvit_b0"]


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", *WIDENED])
def test_backbones_of_all_kinds_learn(name: str) -> None:
    torch.manual_seed(0)
    images = [(0,), (1,), (2,)]
    settings = ModelSettings(width=8)
    encoder = Encoder(name, settings, images, shape=(64, 64), pretrained=False, weights=None)
    slices = torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8)
    vectors, _ = encoder(slices, torch.ones(2, 3, dtype=torch.bool))
    assert vectors.shape == (2, 3, settings.width)
    vectors.square().sum().backward()
    without = [key for key, value in encoder.named_parameters() if value.grad is None]
    assert without == []


def test_widened_backbones_are_what_their_name_says() -> None:
    for name in WIDENED:
        with torch.device("meta"):
            model = timm.create_model(name, num_classes=0)
        assert model.head_hidden_size != model.num_features
