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
