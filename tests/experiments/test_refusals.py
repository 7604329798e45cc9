"""Settings that cannot be combined are refused, and the message names possible ones."""

from typing import Any

import pytest
from pydantic import ValidationError

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.errors import SettingsError

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"model": {"slices_as": "channels"}}, "expected rnn 'none' and slice_pool 'mean'"),
    ({"model": {"rnn": "none", "rnn_layers": 2}}, "rnn_layers has no effect: expected rnn"),
    ({"model": {"rnn": "none", "rnn_per_head": True}}, "rnn_per_head has no effect"),
    ({"model": {"rnn": "none", "slice_pool": "last"}}, "or slice_pool 'mean'"),
    ({"model": {"heads": "one", "slice_pool": "range_mean"}}, "expected heads 'condition'"),
    ({"model": {"heads": "one", "rnn_per_head": True}}, "expected heads 'condition'"),
    ({"model": {"head": ["linear", "relu"]}}, "head: expected 'linear' last"),
    ({"model": {"head": []}}, "head: expected 'linear' last"),
    ({"model": {"head": ["tanh", "linear"]}}, "Input should be 'linear', 'batch_norm'"),
    ({"model": {"slices_as": "threes"}}, "multiples of 3, got 3, 5, 3"),
    (
        {"model": {"axial_backbone": "resnet10t"}, "slices": {"axial_slices": 0}},
        "expected axial and sagittal slices, got slices.axial_slices 0 of 22",
    ),
    (
        {"model": {"head": ["batch_norm", "linear"]}, "training": {"batch_size": 1}},
        "expected 'layer_norm' instead, or training.batch_size above 1",
    ),
    ({"model": {"heads": "one", "slice_pool": "view_attention"}}, "expected heads 'condition'"),
    ({"model": {"heads": "one", "head_context": "lstm"}}, "expected heads 'condition'"),
    ({"model": {"head_samples": 5, "dropout": 0}}, "head_samples has no effect"),
    (
        {
            "model": {"slices_as": "channels", "rnn": "none", "slice_pool": "mean"},
            "loss": {"view_weight": 0.5},
        },
        "loss.view_weight needs an image per series",
    ),
    (
        {
            "model": {"slices_as": "threes"},
            "slices": {"middle_slices": 3},
            "loss": {"slice_weight": 0.5},
        },
        "loss.slice_weight needs an image per slice",
    ),
    ({"model": {"study_context": "lstm"}}, "expected training.batch_by 'study'"),
    (
        {
            "model": {"study_context": "lstm"},
            "training": {"batch_by": "study"},
            "augment": {"mirror": 0.5},
        },
        "expected augment.mirror 0, or model.study_context 'none'",
    ),
    ({"labels": {"levels": []}}, "at least 1 item"),
    (
        {"labels": {"levels": ["l4_l5", "l1_l2"]}},
        "expected each once, in order: ['l1_l2', 'l4_l5']",
    ),
    ({"labels": {"conditions": ["spinal_canal_stenosis"] * 2}}, "expected each once"),
    ({"labels": {"oversample": [0, 1, 2]}}, "greater than or equal to 1"),
    ({"loss": {"focal_gamma": 3.0}}, "expected kind 'focal'"),
    ({"loss": {"grade_weights": [0, 1, 1]}}, "expected all above 0"),
    ({"loss": {"condition_weights": [1, 0, 1]}}, "condition_weights: expected all above 0"),
    ({"loss": {"any_weight": 0.3}}, "expected training.batch_by 'study', or loss.any_weight 0"),
    (
        {
            "loss": {"any_weight": 1.0},
            "training": {"batch_by": "study"},
            "labels": {"conditions": ["left_subarticular_stenosis"]},
        },
        "expected 0, or labels.conditions with spinal_canal_stenosis, got left_subarticular",
    ),
    ({"loss": {"any_weight": -1}}, "greater than or equal to 0"),
    (
        {"training": {"epochs": 2, "freeze_epochs": 3}},
        "freeze_epochs 3: expected at most epochs, 2",
    ),
    ({"augment": {"mixup": 0.6, "cutmix": 0.6}}, "at most 1, got 0.6 and 0.6"),
    (
        {"augment": {"mixup": 0.5, "half_cutmix": 0.4, "manifold_mixup": 0.2}},
        "at most 1, got 0.5 and 0.2 and 0.4",
    ),
    (
        {"augment": {"half_mixup": 0.3}, "crops": {"by_side": True}},
        "with crops.by_side a sample is graded on one side",
    ),
    ({"augment": {"point_mm": 3.0}}, "expected crops.margin above 0"),
    ({"augment": {"point_slices": "measured"}}, "expected slices.spare_slices above 0"),
    ({"augment": {"point_mm": "guessed"}}, "Input should be 'measured'"),
    (
        {"slices": {"sagittal": "even", "side_slices": 0, "spare_slices": 1}},
        "expected spare_slices 0, got 1",
    ),
    (
        {"crops": {"sagittal_window_mm": [36, 45], "axial_window_mm": [45, 75]}},
        "or size_px as [width, height], got width to height 0.8 and 0.6 and size_px 128",
    ),
    ({"augment": {"cutout_holes": [3, 2]}}, "expected 0 <= from <= to, got 3, 2"),
    (
        {"augment": {"mirror": 0.5}, "labels": {"conditions": ["left_subarticular_stenosis"]}},
        "or labels.conditions with both sides of each condition",
    ),
    (
        {"augment": {"mirror": 0.5}, "crops": {"by_side": True}},
        "already mirrors right sides: expected augment.mirror 0, got 0.5",
    ),
    (
        {"tta": {"mirror": True}, "crops": {"by_side": True}},
        "already mirrors right sides: expected tta.mirror false, got true",
    ),
    (
        {"tta": {"mirror": True}, "labels": {"conditions": ["left_subarticular_stenosis"]}},
        "tta.mirror exchanges left and right: expected false, or labels.conditions with both",
    ),
    ({"tta": {"slice_shift": [1, 5]}}, "tta.slice_shift 5 moves no slice"),
    (
        {"members": ["a", "b"], "slices": {"side_slices": 4}},
        "slices.side_slices has no effect in an ensemble, which trains no model",
    ),
    ({"members": ["a"], "needs": {"labels": "b"}}, "needs.labels has no effect in an ensemble"),
    ({"members": ["a"], "labels": {"distrust": 0.8}}, "labels.distrust has no effect in an"),
    ({"ensemble": {"temperature": True}}, "ensemble.temperature has no effect without members"),
    ({"members": ["a", "b", "a"]}, "members: expected each once, got a twice"),
    (
        {"members": ["a"], "ensemble": {"second_level": True, "weights": "fitted"}},
        "second_level takes the place of the mean",
    ),
]


@pytest.mark.parametrize(("settings", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_settings_that_cannot_be_combined_are_refused(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError) as raised:
        Experiment.model_validate({"name": "x", **settings})
    assert message in str(raised.value)


def test_details_of_a_disabled_augmentation_are_allowed() -> None:
    augment = {"noise": 0.0, "noise_std": [0.1, 0.2], "mixup": 0.0, "mixup_alpha": 0.2}
    experiment = Experiment.model_validate({"name": "x", "augment": augment})
    assert experiment.augment.noise_std == (0.1, 0.2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("crops.size_px=8", "crops.size_px: Input should be greater than or equal to 16, got 8"),
        ("crops.size_px=[8,32]", "crops.size_px.0: Input should be greater than or equal to 16"),
        ("augment.point_mm=guess", "or Input should be 'measured', got 'guess'"),
        ("crops.axial_window_mm=-3", "crops.axial_window_mm: Input should be greater than 0, got"),
    ],
)
def test_a_setting_of_several_types_is_refused_for_the_one_that_fits_best(
    change: str, message: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        EXPERIMENTS.load("demo", [change])
    assert message in str(raised.value)
    assert "constrained" not in str(raised.value)
