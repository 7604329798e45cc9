"""The models of a run: all scored folds, and messages on what it lacks."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from lsdc.challenges.ink.masks.rule import Rule
from lsdc.challenges.ink.masks.rules import Rules
from lsdc.challenges.ink.predict.models import TrainedModels, models_of_run
from lsdc.errors import DataError
from lsdc.store.home import Home
from lsdc.store.runs import EXPERIMENT_FILE


@pytest.fixture
def home(models: TrainedModels, tmp_path: Path) -> Home:
    """Return a home with the run of the models."""
    home = Home(tmp_path / "home")
    run = home.run("small")
    run.mkdir(parents=True)
    (run / EXPERIMENT_FILE).write_text(models.experiment.model_dump_json())
    pl.DataFrame({"fold": pl.Series([3, 0, 0], dtype=pl.Int32)}).write_parquet(run / "oof.parquet")
    Rules(models.rule, {0: Rule("value", 0.3)}).write(run)
    for folder in models.folds.values():
        shutil.copytree(folder, run / folder.name)
    return home


def test_models_are_those_of_the_scored_folds_with_the_rule_of_all(
    home: Home, models: TrainedModels
) -> None:
    found = models_of_run(home, "small")
    run = home.run("small")
    assert (found.experiment, found.rule) == (models.experiment, models.rule)
    assert found.folds == {0: run / "fold-0", 3: run / "fold-3"}


@pytest.mark.parametrize(
    ("lacking", "message"),
    [
        ("fold-3/model.safetensors", "fold-3/model.safetensors, expected the weights of"),
        ("oof.parquet", "oof.parquet: no such file; run the same command again"),
        ("rules.json", "rules.json: no such file; run the same command again"),
    ],
)
def test_what_a_run_lacks_is_named(home: Home, lacking: str, message: str) -> None:
    (home.run("small") / lacking).unlink()
    with pytest.raises(DataError, match=message):
        models_of_run(home, "small")
