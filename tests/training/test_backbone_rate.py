"""The backbone learns at a rate of its own."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from torch import nn

from lsdc.errors import ResumeLaterError, SettingsError
from lsdc.training.samples import Samples
from lsdc.training.schedule import build_optimiser, build_schedule, group_parameters
from lsdc.training.settings.training import TrainingSettings
from tests.training.runs import SETTINGS, altered, build_model, run, same_weights

pytestmark = pytest.mark.usefixtures("one_thread")

SLOW = altered(SETTINGS, backbone_learning_rate=3e-4)


@pytest.mark.parametrize("optimiser", ["adamw", "radam", "ranger"])
@pytest.mark.parametrize("schedule", ["cosine", "one_cycle"])
def test_both_rates_follow_the_schedule(schedule: str, optimiser: str) -> None:
    settings = altered(SLOW, schedule=schedule, optimiser=optimiser)
    built = build_optimiser(group_parameters(build_model(), settings), settings)
    following = build_schedule(built, settings, 20)
    seen = []
    for _ in range(20):
        rest, backbone = (group["lr"] for group in built.param_groups)
        assert backbone == pytest.approx(rest / 10)
        seen.append(rest)
        built.step()
        following.step()
    assert max(seen) == pytest.approx(settings.learning_rate)
    assert following.get_last_lr()[0] < max(seen) / 10


def test_the_first_step_moves_each_part_by_its_rate(blobs: Samples, tmp_path: Path) -> None:
    """Adam's first step moves every weight with a gradient by the learning rate."""
    before, model = build_model(), build_model()
    settings = altered(SLOW, epochs=1, batch_size=24, warmup=0.0, weight_decay=0.0)
    run(model, blobs, tmp_path, settings=settings)
    moved = {
        name: (weights - before.get_parameter(name)).abs().median().item()
        for name, weights in model.named_parameters()
    }
    assert moved["head.weight"] == pytest.approx(3e-3, rel=1e-2)
    assert moved["backbone.0.weight"] == pytest.approx(3e-4, rel=1e-2)
    assert moved["backbone.3.weight"] == pytest.approx(3e-4, rel=1e-2)


def test_the_same_rate_for_both_changes_no_bit(blobs: Samples, tmp_path: Path) -> None:
    settings = altered(SETTINGS, max_norm=1.0, freeze_epochs=1)
    one, other = build_model(), build_model()
    run(one, blobs, tmp_path / "one", settings=settings)
    alike = altered(settings, backbone_learning_rate=settings.learning_rate)
    run(other, blobs, tmp_path / "other", settings=alike)
    assert same_weights(one, other)


@pytest.mark.parametrize("optimiser", ["adamw", "ranger"])
def test_a_stopped_training_resumes_to_the_same_bits(
    optimiser: str, blobs: Samples, tmp_path: Path
) -> None:
    settings = altered(SLOW, optimiser=optimiser, freeze_epochs=1, checkpoint_steps=1)
    whole, left, asked = build_model(), build_model(), 0
    run(whole, blobs, tmp_path / "whole", settings=settings)

    def stop_in_the_second_epoch() -> bool:
        nonlocal asked
        asked += 1
        return asked >= 10

    with pytest.raises(ResumeLaterError):
        run(
            left,
            blobs,
            tmp_path / "left",
            settings=settings,
            stop_requested=stop_in_the_second_epoch,
        )
    resumed = build_model()
    run(resumed, blobs, tmp_path / "left", settings=settings)
    assert same_weights(whole, resumed)
    assert not same_weights(whole, left)


def test_a_model_without_a_backbone_is_refused(blobs: Samples, tmp_path: Path) -> None:
    class Headless(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(1, 1)

    with pytest.raises(SettingsError, match=r"backbone_learning_rate 0.0003: .*Headless has no"):
        run(Headless(), blobs, tmp_path, settings=SLOW)


def test_a_rate_for_a_backbone_that_stays_frozen_is_refused() -> None:
    with pytest.raises(ValidationError, match="backbone_learning_rate has no effect"):
        TrainingSettings(epochs=2, freeze_epochs=2, backbone_learning_rate=1e-4)


def test_every_parameter_is_in_one_group() -> None:
    model = build_model()
    first, last = group_parameters(model, SLOW)
    assert isinstance(first, dict)
    assert isinstance(last, dict)
    found = [*first["params"], *last["params"]]
    assert sorted(map(id, found)) == sorted(map(id, model.parameters()))
    assert {*map(id, last["params"])} == {*map(id, model.backbone.parameters())}
