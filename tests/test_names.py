"""Valid names are one folder on every file system; other names are refused in one line."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.errors import SettingsError
from lsdc.names import (
    LONGEST,
    as_name,
    join_names,
    require_name,
    require_no_twins,
    require_run_name,
)
from lsdc.store.home import Home

REFUSED = [
    *("v2/slices", "../../outside", "/outside", "..", ".", "", ".hidden", "-y", "a\0b", "a\nb"),
    *("a b", "a*", "a\\b", "a:b", "end.", "größe", "con", "NUL.txt", "Com1", "a@b"),
    *("a" * (LONGEST + 1), "a" * 300),
]


@pytest.mark.parametrize("name", REFUSED)
def test_invalid_folder_name_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(SettingsError) as raised:
        require_name(name, "presets.toml")
    assert str(raised.value).startswith("presets.toml: ")
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 250


@pytest.mark.parametrize("name", ["children", "Index", "prefect-server"])
def test_experiment_cannot_have_the_name_of_another_log(name: str) -> None:
    with pytest.raises(SettingsError, match=f"presets.toml: '{name}' is the name of another log"):
        require_name(name, "presets.toml")
    require_run_name(f"demo@{name}", "runs")


def test_names_of_all_other_logs_are_reserved() -> None:
    rooms = [Path(__file__).parents[1] / room for room in ("lsdc", "tasks", "flows", "deployments")]
    texts = [file.read_text("utf-8") for room in rooms for file in room.rglob("*.py")]
    named = {name for text in texts for name in re.findall(r'logs / "([\w-]+)\.log"', text)}
    assert {"children", "index"} <= named
    for name in named:
        with pytest.raises(SettingsError):
            require_name(name, "")


@pytest.mark.parametrize("name", ["mine", "exp118.v2", "2_b", "A-1", "console", "a" * LONGEST])
def test_valid_folder_name_is_accepted(name: str) -> None:
    require_name(name, "presets.toml")


def test_experiments_of_lsdc_have_valid_names() -> None:
    for name in EXPERIMENTS.names():
        require_name(name, "ours")
    require_no_twins(EXPERIMENTS.names(), "ours")


def test_names_that_differ_only_in_case_are_refused() -> None:
    require_no_twins(["mine", "yours", "mine"], "presets.toml")
    with pytest.raises(SettingsError, match="Mine and mine differ only in case"):
        require_no_twins(["mine", "Mine"], "presets.toml")


_ANY = st.text() | st.text("abC.-_@/ \0*[", max_size=8) | st.sampled_from(REFUSED)


@given(name=_ANY)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_name_of_a_run_is_a_folder_in_runs_or_refused(tmp_path: Path, name: str) -> None:
    home = Home(tmp_path)
    try:
        folder = home.run(name)
    except SettingsError:
        return
    folder.mkdir(parents=True, exist_ok=True)
    assert folder in set(home.runs.glob("*"))
    assert [each.name for each in tmp_path.iterdir()] == ["runs"]


@given(text=st.text(max_size=300))
@example(text="AUX")
def test_any_text_becomes_a_valid_part_of_a_run_name_or_nothing(text: str) -> None:
    if name := join_names([as_name(text)]):
        require_run_name(f"demo@{name}", "runs")
