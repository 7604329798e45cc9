"""A run's settings, checked before any work is done."""

from pathlib import Path

import pytest

from lsdc.errors import SettingsError
from lsdc.experiments.presets import load_experiment
from tasks.run import open_run


def test_run_is_of_the_experiment_with_what_was_set(tmp_path: Path) -> None:
    changed = ["training.epochs=2", "model.backbone=test_resnet"]
    run = open_run(experiment="demo", settings=changed, data=None, home=tmp_path, folds=4)
    assert run.experiment.name == "demo"
    assert run.experiment == load_experiment("demo", changed)
    assert run.experiment.training.epochs == 2


def test_setting_that_is_not_there_leaves_no_home(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"did you mean training\.epochs"):
        open_run(
            experiment="demo",
            settings=["training.epoch=2"],
            data=None,
            home=tmp_path / "home",
            folds=4,
        )
    assert not (tmp_path / "home").exists()


def test_weights_are_looked_for_before_anything_is_done(tmp_path: Path) -> None:
    name = load_experiment("exp118").model.backbone
    home, weights = tmp_path / "home", tmp_path / "weights"
    weights.mkdir()
    with pytest.raises(SettingsError, match=rf"no weights of {name} there; expected {weights}/"):
        open_run(experiment="exp118", data=None, home=home, folds=4, weights=weights)
    with pytest.raises(SettingsError, match="demo starts from none; leave it out"):
        open_run(experiment="demo", data=None, home=home, folds=4, weights=weights)
    assert not home.exists()
    (weights / f"{name}.safetensors").touch()
    run = open_run(experiment="exp118", data=None, home=home, folds=4, weights=weights)
    assert run.weights == weights
