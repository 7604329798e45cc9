"""The presets after the published solutions: their slices, their costs, and their models."""

from functools import cache

import numpy as np
import pytest
import timm
import torch
from pydantic import ValidationError
from torch.utils.flop_counter import FlopCounterMode

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.challenges.lumbar.slices.slots import list_stored
from lsdc.challenges.lumbar.training.network import build_model
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADES
from lsdc.experiments.expected import Expected

LEVELS_OF_THREE_FOLDS = 7406  # three quarters of the competition's 1,975 x 5 levels
FOLDS = 4
FASTEST, SLOWEST = 25e12, 15e12  # multiplications and additions a second on a GPU with 24 GB

PRESETS = [name for name in EXPERIMENTS.names() if name.startswith("winners-")]
TRAINED = [name for name in PRESETS if not EXPERIMENTS.load(name).members]
SET = ("winners-canal", "winners-foraminal", "winners-subarticular")


def images_an_epoch(experiment: Experiment) -> int:
    return experiment.slices.count * LEVELS_OF_THREE_FOLDS * (1 + experiment.crops.by_side)


@pytest.mark.parametrize(
    ("name", "slices", "stored", "images"),
    [
        ("winners-joint", 27, 41, 199_962),
        ("winners-canal", 14, 18, 103_684),
        ("winners-foraminal", 13, 19, 192_556),
        ("winners-subarticular", 13, 23, 192_556),
    ],
)
def test_preset_has_the_slices_that_its_cost_is_counted_for(
    name: str, slices: int, stored: int, images: int
) -> None:
    experiment = EXPERIMENTS.load(name)
    assert experiment.slices.count == slices
    assert len(list_stored(experiment.slices)) == stored
    assert images_an_epoch(experiment) == images


@cache
def operations_of(backbone: str, shape: tuple[int, int]) -> int:
    """Return the multiplications and additions of a forward pass of one image."""
    with torch.device("meta"):
        model = timm.create_model(backbone, pretrained=False, num_classes=0).eval()
        image = torch.empty(1, 3, *shape)
    with FlopCounterMode(display=False) as counter:
        model(image)
    return counter.get_total_flops()


@pytest.mark.parametrize("name", TRAINED)
def test_expected_hours_are_those_of_the_operations(name: str) -> None:
    experiment = EXPERIMENTS.load(name)
    forward = operations_of(experiment.model.backbone, experiment.crops.shape)
    # The backward pass takes twice as many as the forward pass.
    total = 3 * forward * images_an_epoch(experiment) * experiment.training.epochs * FOLDS
    hours = [total / speed / 3600 for speed in (FASTEST, SLOWEST)]
    assert experiment.expected.gpu_hours == pytest.approx(hours, abs=0.06)


def test_timm_has_pretrained_weights_for_every_backbone() -> None:
    known = set(timm.list_models(pretrained=True))
    assert {EXPERIMENTS.load(name).model.backbone for name in [*TRAINED, "small"]} <= known


def test_scores_of_presets_are_expected_and_not_reported() -> None:
    for name in PRESETS:
        experiment = EXPERIMENTS.load(name)
        assert experiment.expected.oof, name
        assert experiment.expected.source, name
        assert not experiment.reported.results, name


def test_estimate_of_a_score_needs_a_source_and_an_order() -> None:
    with pytest.raises(ValidationError, match="source: expected what the estimate"):
        Expected(oof=(0.38, 0.39))
    with pytest.raises(ValidationError, match="gpu_hours: expected smallest <= largest"):
        Expected(gpu_hours=(4, 2))


def test_set_has_a_model_for_each_condition_once() -> None:
    for suffix in ("", "-v2s"):
        learnt = [EXPERIMENTS.load(name + suffix).labels.conditions for name in SET]
        assert [each for conditions in learnt for each in conditions] == list(CONDITIONS)


def test_ensemble_costs_what_its_members_cost() -> None:
    second = EXPERIMENTS.load("winners-second")
    members = [EXPERIMENTS.load(name) for name in second.members]
    assert {f"{name}{suffix}" for name in SET for suffix in ("", "-v2s")} <= {*second.members}
    hours = np.sum([member.expected.gpu_hours for member in members], axis=0)
    assert second.expected.gpu_hours == pytest.approx(hours)
    memory = np.max([member.expected.gpu_gb for member in members], axis=0)
    assert second.expected.gpu_gb == pytest.approx(memory)
    assert second.ensemble.second_level


def test_step_of_the_preset_for_little_memory_has_as_many_samples() -> None:
    whole, half = (EXPERIMENTS.load(f"winners-joint{each}") for each in ("", "-low-memory"))
    assert half.training.batch_size == whole.training.batch_size / 2
    assert half.training.accumulate == whole.training.accumulate * 2
    assert half.model == whole.model


@pytest.mark.parametrize("name", ["winners-joint", *SET])
def test_model_of_a_preset_grades_a_batch(name: str) -> None:
    tiny = ["model.backbone=test_convnext", "model.width=16", "crops.size_px=32"]
    experiment = EXPERIMENTS.load(name, tiny)
    model = build_model(experiment, pretrained=False).train()
    places = experiment.slices.count
    slices = torch.randint(0, 256, (2, places, *experiment.crops.shape), dtype=torch.uint8)
    outputs = model(slices, torch.ones(2, places, dtype=torch.bool))
    assert outputs.grades.shape == (2, len(CONDITIONS), len(GRADES))
    outputs.grades.sum().backward()
