import pytest
from pydantic import ValidationError

from lsdc.errors import SettingsError
from lsdc.experiments.config import Experiment, SlicesConfig
from lsdc.experiments.presets import experiment_names, load_experiment


@pytest.mark.parametrize("name", experiment_names())
def test_every_preset_resolves(name: str) -> None:
    assert load_experiment(name).name == name


def test_preset_changes_only_what_it_says() -> None:
    base, demo = load_experiment("baseline"), load_experiment("demo")
    assert demo.based_on == "baseline"
    assert demo.crops.size_px != base.crops.size_px
    assert demo.crops.axial_window == base.crops.axial_window
    assert demo.note != base.note


def test_unknown_experiment_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(SettingsError, match="did you mean 'demo'"):
        load_experiment("dmeo")


def test_unknown_setting_is_refused() -> None:
    with pytest.raises(ValidationError, match="learning_rat"):
        Experiment.model_validate({"name": "x", "training": {"learning_rat": 1}})


def test_lab_log_has_25_slices_a_level() -> None:
    assert SlicesConfig().count == 25
