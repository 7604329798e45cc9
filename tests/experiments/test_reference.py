"""The reference of settings: all of them, in words, and the page that is made of them."""

from pathlib import Path

import pytest

from lsdc.errors import SettingsError
from lsdc.experiments.presets import load_experiment
from lsdc.experiments.reference import as_markdown, describe_settings
from lsdc.experiments.settings import setting_names

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_every_setting_is_described() -> None:
    described = describe_settings()
    assert [each.name for each in described] == setting_names()
    assert [each.name for each in described if not (each.description and each.takes)] == []


def test_the_page_is_that_of_the_declarations() -> None:
    made = "python -m lsdc.experiments.reference > docs/settings.md"
    assert PAGE.read_text(encoding="utf-8") == as_markdown(describe_settings()), made


def test_choices_and_bounds_are_those_that_are_enforced() -> None:
    found = {each.name: each for each in describe_settings()}
    for choice in found["training.keep"].takes.split(" or "):
        assert load_experiment("demo", [f"training.keep={choice}"]).training.keep == choice
    assert found["coordinates.shift_along"].takes == "a number from 0 to 0.5"
    assert load_experiment("demo", ["coordinates.shift_along=0.5"])
    with pytest.raises(SettingsError):
        load_experiment("demo", ["coordinates.shift_along=0.51"])
    assert found["training.max_norm"].takes == "a number above 0 or none"
    assert found["slices.t1_middle"].default_words == "true"


def test_a_section_or_a_setting_is_picked_and_a_slip_is_answered() -> None:
    names = [each.name for each in describe_settings("slices")]
    assert names == [name for name in setting_names() if name.startswith("slices.")]
    assert [each.name for each in describe_settings("training.keep")] == ["training.keep"]
    with pytest.raises(SettingsError, match=r"did you mean training\.keep\?"):
        describe_settings("training.kep")
