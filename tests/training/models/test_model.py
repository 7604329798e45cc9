from collections.abc import Callable
from typing import Any

import pytest
import torch

from lsdc.training.batch_norm import use_running_stats_for_single_values
from lsdc.training.losses.graded import GradedLoss
from lsdc.training.models.auxiliary import View
from lsdc.training.models.blend import Blend
from lsdc.training.models.model import SliceModel, Task
from lsdc.training.models.outputs import Outputs
from lsdc.training.samples import Labels
from lsdc.training.settings.loss import LossSettings
from lsdc.training.settings.model import ModelSettings

Build = Callable[[], SliceModel]

TASK = Task(
    slices=9,
    shape=(32, 32),
    heads=2,
    classes=3,
    groups=5,
    own=((0, 1, 2), (6, 7, 8)),
    second=(6, 7, 8),
)
NO_DROPOUT = {"slice_dropout": 0.0, "dropout": 0.0}
# Each value of each setting occurs once, in pairs that the lab log does not have.
SETTINGS: dict[str, dict[str, Any]] = {
    "one for all": {"heads": "one", "head": ("linear", "batch_norm", "leaky_relu", "linear")},
    "one a head": {
        "rnn_per_head": True,
        "rnn_init": "orthogonal",
        "slice_pool": "last",
        "head": ("layer_norm", "linear", "relu", "dropout", "linear"),
    },
    "two backbones": {
        "second_backbone": "test_resnet",
        "rnn": "gru",
        "rnn_layers": 2,
        "slice_pool": "mlp_attention",
        "slice_dropout": 0.5,
    },
    "threes": {"slices_as": "threes", "slice_pool": "range_mean", "map_pool": "gem"},
    "threes of two": {
        "slices_as": "threes",
        "second_backbone": "test_convnext",
        "rnn": "none",
        "slice_pool": "max",
        "pixels": "plain",
    },
    "channels": {"slices_as": "channels", "rnn": "none", "slice_pool": "mean"},
    "channels of two": {
        "slices_as": "channels",
        "second_backbone": "test_vit",
        "rnn": "none",
        "slice_pool": "mean",
        "heads": "one",
    },
    "deep": {
        "pixels": "sample",
        "map_pool": "max",
        "slice_pool": "mean_max",
        "spatial_dropout": 0.3,
        "drop_path": 0.2,
        "dropout": 0.5,
    },
}

each_model = pytest.mark.parametrize("settings", SETTINGS.values(), ids=list(SETTINGS))


def build_model(settings: dict[str, Any]) -> SliceModel:
    torch.manual_seed(0)
    # Layer norm: with batch norm, the outputs of a sample depend on the other samples.
    given = {"backbone": "test_efficientnet_ln", "width": 16, "head_width": 8} | NO_DROPOUT
    given |= settings
    second = given.pop("second_backbone", None)
    return SliceModel(ModelSettings(**given), TASK, second_backbone=second, pretrained=False)


def batch_of_nine() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    present = torch.ones(3, 9, dtype=torch.bool)
    present[0, 1] = present[1, 3:6] = present[1, 8] = False
    return torch.randint(0, 256, (3, 9, 32, 32), dtype=torch.uint8), present


def small_batch() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    present = torch.ones(3, 4, dtype=torch.bool)
    present[0, 1] = present[1, 3] = False
    return torch.randint(0, 256, (3, 4, 32, 32), dtype=torch.uint8), present


def same(one: Outputs, other: Outputs) -> bool:
    pairs = zip(one, other, strict=True)
    return all(a is b is None or torch.equal(a, b) for a, b in pairs)


@each_model
def test_every_parameter_of_every_model_gets_a_gradient(settings: dict[str, Any]) -> None:
    slices, present = batch_of_nine()
    model = build_model(settings)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    loss = GradedLoss(LossSettings(), class_weights=(1.0, 2.0, 4.0), group_weight=0.3)
    labels = Labels(torch.tensor([[0, 1], [2, -100], [1, 1]]), group=torch.tensor([4, 0, 2]))
    loss(model(slices, present), labels).backward()
    without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert not without
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    optimiser.step()
    outputs = model(slices, present)
    assert outputs.grades.shape == (3, 2, 3)
    assert loss(outputs, labels).isfinite()


@each_model
def test_pixels_of_absent_slices_have_no_effect(settings: dict[str, Any]) -> None:
    slices, present = batch_of_nine()
    model = build_model(settings).eval()
    before = model(slices, present)
    slices[~present] = 255 - slices[~present]
    assert same(before, model(slices, present))


@each_model
def test_output_depends_on_whether_a_slice_is_absent(settings: dict[str, Any]) -> None:
    slices, present = batch_of_nine()
    model = build_model(settings).eval()
    for encoder in model.encoders:
        torch.nn.init.normal_(encoder.get_parameter("absent"))
    shares = (slices.float() / 255).masked_fill(~present[..., None, None], 0.5)
    told, untold = model(shares, present), model(shares, torch.ones_like(present))
    assert not torch.allclose(told.grades[0, 0], untold.grades[0, 0])


@each_model
def test_sample_without_slices_has_finite_logits(settings: dict[str, Any]) -> None:
    slices, present = batch_of_nine()
    present[2] = False
    model = build_model(settings)
    for outputs in (model.eval()(slices, present), model(slices, torch.zeros_like(present))):
        assert all(each.isfinite().all() for each in outputs if each is not None)


@pytest.mark.parametrize("name", ["threes", "deep"])
def test_output_of_a_sample_does_not_depend_on_its_batch(name: str) -> None:
    slices, present = batch_of_nine()
    model = build_model(SETTINGS[name]).eval()
    alone = model(slices[1:2], present[1:2])
    together = model(slices, present).grades[1]
    torch.testing.assert_close(alone.grades[0], together, rtol=1e-3, atol=1e-4)


def test_only_a_model_with_groups_predicts_the_group() -> None:
    outputs = build_model({}).eval()(*batch_of_nine())
    assert outputs.group is not None
    assert outputs.group.shape == (3, 5)
    without = SliceModel(
        ModelSettings(backbone="test_efficientnet_ln", width=16),
        Task(slices=9, shape=(32, 32), heads=2, classes=3),
        pretrained=False,
    )
    assert without(*batch_of_nine()).group is None


def test_batch_of_one_is_possible_with_batch_norm() -> None:
    slices, present = batch_of_nine()
    model = build_model(SETTINGS["one for all"]).train()
    use_running_stats_for_single_values(model, say=lambda: None)  # as the training loop does
    assert model(slices[:1], present[:1]).grades.isfinite().all()


def test_float_and_8_bit_pixels_have_the_same_output(build: Build) -> None:
    slices, present = small_batch()
    model = build().eval()
    as_float = model(slices.float() / 255, present).grades
    torch.testing.assert_close(as_float, model(slices, present).grades)


def test_brightness_and_contrast_have_no_effect_with_scaling_per_sample() -> None:
    slices, present = batch_of_nine()
    model = build_model(SETTINGS["deep"]).eval()
    shares = slices.float() / 255
    brighter = 0.3 + 0.5 * shares
    torch.testing.assert_close(model(brighter, present).grades, model(shares, present).grades)
    other = build_model(SETTINGS["deep"] | {"pixels": "plain"}).eval()
    assert not torch.allclose(other(brighter, present).grades, other(shares, present).grades)


def test_gates_of_the_rnn_are_initialised_orthogonally() -> None:
    rnn = build_model(SETTINGS["one a head"]).sequences[1].get_submodule("rnn")
    gates = rnn.get_parameter("weight_hh_l0_reverse").detach().reshape(4, 16, 16)
    torch.testing.assert_close(gates @ gates.mT, torch.eye(16).expand(4, -1, -1))


@each_model
def test_encoding_and_reading_are_the_model(settings: dict[str, Any]) -> None:
    slices, present = batch_of_nine()
    model = build_model(settings).eval()
    features, seen = model.encode(slices, present)
    assert same(model.read(features, seen), model(slices, present))
    assert seen.tolist() == [
        [any(own[place] for place in image) for image in model.images] for own in present.tolist()
    ]
    assert sorted(place for image in model.images for place in image) == list(range(9))


@pytest.mark.parametrize("slices_as", ["sequence", "threes"])
def test_view_attention_has_no_weight_outside_the_own_views(slices_as: str) -> None:
    slices, present = batch_of_nine()
    present[2, :3] = False
    views = (View((0, 1, 2), (0,)), View((6, 7, 8), (0, 1)))
    settings = {"backbone": "test_efficientnet_ln", "width": 16, "slices_as": slices_as}
    model = SliceModel(
        ModelSettings.model_validate(settings | {"slice_pool": "view_attention"}),
        Task(slices=9, shape=(32, 32), heads=2, classes=3, views=views),
        pretrained=False,
    ).eval()
    weights = model.attention(*model.encode(slices, present))
    assert weights is not None
    for head, own in enumerate([{0, 1, 2, 6, 7, 8}, {6, 7, 8}]):
        for number, image in enumerate(model.images):
            there = present[:, list(image)].any(dim=-1)
            expected = there & (set(image) <= own)
            assert torch.equal(weights[:, head, number] > 0, expected)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(3, 2))


def test_attention_has_a_weight_per_head_and_image() -> None:
    slices, present = batch_of_nine()
    for name in ("one for all", "two backbones"):
        model = build_model(SETTINGS[name]).eval()
        weights = model.attention(*model.encode(slices, present))
        assert weights is not None
        assert weights.shape == (3, 2, 9)
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones(3, 2))
        assert not weights[~present.unsqueeze(1).expand(-1, 2, -1)].any()
    last = build_model(SETTINGS["one a head"]).eval()
    assert last.attention(*last.encode(slices, present)) is None


def test_blended_features_are_graded_as_such() -> None:
    torch.manual_seed(0)
    model = SliceModel(ModelSettings(backbone="test_resnet", width=8), TASK, pretrained=False)
    model.eval()
    slices = torch.randint(0, 256, (2, 9, 32, 32), dtype=torch.uint8)
    present = torch.ones(2, 9, dtype=torch.bool)
    blend = Blend(torch.tensor([1, 0]), 0.6)
    features, seen = model.encode(slices, present)
    with torch.no_grad():
        found = model(slices, present, blend=blend).grades
        torch.testing.assert_close(found, model.read(blend.of(features, seen), seen).grades)
        whole = model(slices, present, blend=Blend(torch.tensor([1, 0]), 1.0)).grades
        torch.testing.assert_close(whole, model(slices, present).grades)
    assert not torch.allclose(found, whole)
