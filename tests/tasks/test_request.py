"""The parameters of a run are the same in flows, Prefect's forms, options and docs."""

import inspect
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow

from deployments.register import FLOWS
from lsdc.errors import SettingsError
from tasks.request import (
    FoldRequest,
    RunRequest,
    as_markdown,
    describe,
    parameters_of,
    sent_names,
)
from tests.commands import load_command

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "parameters.md"
REGISTERED = [flow for flows in FLOWS.values() for flow in flows]


@pytest.mark.parametrize("flow", REGISTERED, ids=lambda flow: flow.name)
def test_form_of_a_flow_has_every_parameter_with_its_description_and_bounds(
    flow: Flow[..., Any],
) -> None:
    shown = flow.parameters.properties
    declared = parameters_of(FoldRequest)
    assert {*parameters_of(RunRequest)} - {*shown} <= {"only_fold", "weights"}
    for name, schema in shown.items():
        assert schema["description"]
        if name in declared:
            assert schema["description"] == describe(declared[name])
    assert (shown["folds"]["default"], shown["folds"]["minimum"]) == (4, 2)
    assert shown["seed"]["maximum"] == 2**32 - 1
    assert shown["device"]["enum"] == ["auto", "cpu", "cuda"]
    names = sorted(shown, key=lambda name: shown[name]["position"])
    sent = [name for name in names if name in {*sent_names(FoldRequest), "tries_model"}]
    assert (
        names[len(names) - len(sent) :] == sent
    )  # parameters that runs send to one another come last


def test_options_have_the_descriptions_of_the_form() -> None:
    options = {option.name: option for option in load_command("run-local").params}
    for name, field in parameters_of(RunRequest, sent_names(RunRequest)).items():
        assert options[name].help.startswith(str(field.description))


def test_parameters_page_is_up_to_date() -> None:
    made = "python -m tasks.request > docs/reference/parameters.md"
    assert PAGE.read_text(encoding="utf-8") == as_markdown(), made


def test_flows_take_parameters_by_name() -> None:
    for flow in REGISTERED:
        parameters = inspect.signature(flow.fn).parameters
        assert "request" not in parameters
        assert parameters["experiment"].default == "auto"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"folds": 1}, "--folds 1: expected integer >= 2"),
        ({"only_fold": 4}, "--only-fold 4: expected 0 to 3 of 4 folds"),
        ({"only_fold": -1}, "--only-fold -1: expected integer >= 0"),
        ({"fold": 2, "folds": 2}, "--fold 2: expected 0 to 1 of 2 folds"),
        ({"seed": -1}, "--seed -1: expected integer >= 0 and <= 4294967295"),
        ({"seed": 2**32}, "--seed 4294967296: expected integer >= 0 and <= 4294967295"),
        ({"limit": 0}, "--limit 0: expected integer >= 1"),
        ({"threads": -2}, "--threads -2: expected integer >= 1"),
        ({"holdout": 0.6}, "--holdout 0.6: expected number >= 0 and <= 0.5"),
        ({"max_bad": 1.5}, "--max-bad 1.5: expected number >= 0 and <= 1"),
        ({"device": "tpu"}, "--device tpu: expected one of auto, cpu, cuda"),
        ({"fould": 1}, "no parameter is called 'fould'"),
    ],
)
def test_value_out_of_bounds_is_an_error_that_names_the_option(
    given: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        FoldRequest.of(**given)
