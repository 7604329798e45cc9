from collections.abc import Callable

import huggingface_hub.constants
import pytest
import torch

from lsdc.errors import SettingsError
from lsdc.training.model import SliceSequenceModel

Build = Callable[[], SliceSequenceModel]


def small_batch() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    present = torch.ones(3, 4, dtype=torch.bool)
    present[0, 1] = present[1, 3] = False
    return torch.randint(0, 256, (3, 4, 32, 32), dtype=torch.uint8), present


@pytest.mark.parametrize("training", [True, False])
def test_pixels_of_an_absent_slice_change_nothing(build: Build, training: bool) -> None:
    slices, present = small_batch()
    torch.manual_seed(2)
    before = build().train(training)(slices, present)
    slices[~present] = 255 - slices[~present]
    assert torch.equal(before, build().train(training)(slices, present))


def test_shares_of_white_are_the_same_pixels_as_eight_bits(build: Build) -> None:
    slices, present = small_batch()
    model = build().eval()
    torch.testing.assert_close(model(slices.float() / 255, present), model(slices, present))


def test_model_is_told_that_a_slice_is_absent(build: Build) -> None:
    slices, present = small_batch()
    slices[0, 1] = 0
    model = build().eval()
    told = model(slices, present)
    assert not torch.allclose(told[0], model(slices, torch.ones_like(present))[0])


def test_sample_without_any_slice_is_graded_all_the_same(build: Build) -> None:
    slices, present = small_batch()
    present[2] = False
    logits = build().eval()(slices, present)
    assert logits.shape == (3, 2, 3)
    assert logits.isfinite().all()
    assert build()(slices, torch.zeros_like(present)).isfinite().all()


def test_gradients_reach_every_parameter(build: Build) -> None:
    slices, present = small_batch()
    model = build()
    model(slices, present).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert model.absent.grad is not None
    assert model.absent.grad.any()


def test_unknown_backbone_is_refused_with_a_suggestion() -> None:
    with pytest.raises(SettingsError, match="timm knows no 'resnet19d'; did you mean 'resnet"):
        SliceSequenceModel(
            "resnet19d", pretrained=False, slices=4, heads=1, classes=3, lstm_width=8, dropout=0.0
        )


def test_pretrained_weights_out_of_reach_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    empty = str(tmp_path_factory.mktemp("hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", empty)
    with pytest.raises(
        SettingsError, match=r"fetch https://huggingface.co/timm/resnet10t\.c3_in1k"
    ):
        SliceSequenceModel(
            "resnet10t", pretrained=True, slices=4, heads=1, classes=3, lstm_width=8, dropout=0.0
        )
