import re
from inspect import get_annotations
from typing import get_args, get_origin

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.errors import SettingsError
from lsdc.experiments.settings import flatten, setting_fields, settings_of


def test_only_the_given_setting_is_changed() -> None:
    before, after = (
        settings_of(EXPERIMENTS.load("exp118", changed)) for changed in ([], ["training.epochs=2"])
    )
    assert {key for key in before if before[key] != after[key]} == {"training.epochs"}
    assert after["training.epochs"] == 2


def test_each_setting_is_declared_once() -> None:
    for section, field in Experiment.model_fields.items():
        assert field.annotation is not None
        bases = [base for base in getattr(field.annotation, "__mro__", ()) if base is not BaseModel]
        declared = [
            name for base in bases if issubclass(base, BaseModel) for name in get_annotations(base)
        ]
        assert len(declared) == len({*declared}), section


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("training.learning_rate = 1e-3", 1e-3),
        ("model.backbone=resnet18.a1_in1k", "resnet18.a1_in1k"),
        ('model.backbone="resnet18"', "resnet18"),
        ("model.pretrained=false", False),
        ("crops.sagittal_offset=[0.3, -0.3]", [0.3, -0.3]),
        ("needs.weights=exp114", "exp114"),
        ("training.max_norm=none", None),
    ],
)
def test_values_are_parsed_as_toml_or_text(text: str, value: object) -> None:
    name = text.partition("=")[0].strip()
    # exp140 clips gradients
    assert settings_of(EXPERIMENTS.load("exp140", [text]))[name] == value


def test_none_stays_text_if_it_is_a_choice() -> None:
    changed = ["model.rnn=none", "model.rnn_per_head=false"]
    assert EXPERIMENTS.load("exp118", changed).model.rnn == "none"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("training.epoch=2", "did you mean training.epochs"),
        ("epochs=2", "did you mean coordinates.epochs or training.epochs"),
        ("model.drop_out=0.1", "did you mean model.dropout"),
        ("slices=3", "did you mean slices.side_slices"),
        ("nonsense=3", "'lsdc experiments show demo' lists all"),
        ("note=3", "no setting is called 'note'"),
        ("training.epochs", "expected KEY=VALUE"),
        ("training.epochs=0", "training.epochs: .*greater than or equal to 1, got 0"),
        ("slices.axial=nearest", "slices.axial: .*'distance', .*, got 'nearest'"),
        ("slices.argmin_offset=1", "has no effect here: expected"),
        ("model.slices_as=channels", "expected rnn 'none'"),
    ],
)
def test_unknown_setting_is_refused_with_a_suggestion(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        EXPERIMENTS.load("demo", [text])


@given(
    name=st.sampled_from(EXPERIMENTS.names()), key=st.sampled_from(list(setting_fields(Experiment)))
)
def test_setting_the_present_value_changes_nothing(name: str, key: str) -> None:
    experiment = EXPERIMENTS.load(name)
    value = flatten(experiment.model_dump(mode="json"))[key]
    typed = "none" if value is None else str(value).lower() if isinstance(value, bool) else value
    assert EXPERIMENTS.load(name, [f"{key}={typed}"]) == experiment


def _holds_numbers(annotation: object) -> bool:
    return annotation is float or any(_holds_numbers(part) for part in get_args(annotation))


def _settings_of_numbers(model: type[BaseModel], above: str = "") -> dict[str, int]:
    """Return the dotted names of settings with floats, and how many each has; 0 if not a tuple."""
    found: dict[str, int] = {}
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            found |= _settings_of_numbers(annotation, f"{above}{name}.")
        elif _holds_numbers(annotation):
            found[f"{above}{name}"] = len(get_args(annotation)) * (get_origin(annotation) is tuple)
    return {name: count for name, count in found.items() if name in setting_fields(Experiment)}


NUMBERS = _settings_of_numbers(Experiment)


def test_settings_with_numbers_are_found() -> None:
    assert NUMBERS["training.learning_rate"] == 0
    assert NUMBERS["training.max_norm"] == 0
    assert NUMBERS["loss.grade_weights"] == 3
    assert len(NUMBERS) > 40


@given(
    key=st.sampled_from(list(NUMBERS)),
    bad=st.sampled_from(["inf", "-inf", "nan", "1e999", "1e39", "-1e39", "1e-46"]),
    place=st.integers(0, 2),
)
@example("training.learning_rate", "inf", 0)
@example("loss.grade_weights", "inf", 1)
def test_number_that_training_cannot_hold_is_refused(key: str, bad: str, place: int) -> None:
    count = NUMBERS[key]
    values = [bad if number == place % count else "1.0" for number in range(count)]
    typed = f"[{', '.join(values)}]" if values else bad
    with pytest.raises(SettingsError, match=rf"--set {re.escape(key)}=.*: {key.partition('.')[0]}"):
        EXPERIMENTS.load("demo", [f"{key}={typed}"])
