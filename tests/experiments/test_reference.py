"""The reference of settings: every setting with its type, bounds and description."""

import pytest

from lsdc.challenges.challenge import Challenge
from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.challenges.registry import CHALLENGES
from lsdc.errors import SettingsError
from lsdc.experiments.reference import describe_settings
from lsdc.experiments.settings import setting_fields


@pytest.mark.parametrize("challenge", CHALLENGES, ids=lambda each: each.name)
def test_every_setting_is_described(challenge: Challenge) -> None:
    config = challenge.experiments.config
    described = describe_settings(config)
    assert [each.name for each in described] == list(setting_fields(config))
    assert [each.name for each in described if not (each.description and each.takes)] == []


def test_described_choices_and_bounds_are_enforced() -> None:
    found = {each.name: each for each in describe_settings(Experiment)}
    for choice in found["training.keep"].takes.removeprefix("one of ").split(", "):
        assert EXPERIMENTS.load("demo", [f"training.keep={choice}"]).training.keep == choice
    assert found["coordinates.shift_along"].takes == "number >= 0 and <= 0.5"
    assert EXPERIMENTS.load("demo", ["coordinates.shift_along=0.5"])
    with pytest.raises(SettingsError):
        EXPERIMENTS.load("demo", ["coordinates.shift_along=0.51"])
    assert found["training.max_norm"].takes == "number > 0, or none"
    assert found["slices.t1_middle"].default_words == "true"


def test_section_or_setting_is_found_and_a_typo_gets_a_suggestion() -> None:
    names = [each.name for each in describe_settings(Experiment, "slices")]
    assert names == [name for name in setting_fields(Experiment) if name.startswith("slices.")]
    assert [each.name for each in describe_settings(Experiment, "training.keep")] == [
        "training.keep"
    ]
    with pytest.raises(SettingsError, match=r"did you mean training\.keep\?"):
        describe_settings(Experiment, "training.kep")
