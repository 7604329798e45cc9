"""The models of a run: all scored folds, and messages on what it lacks."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from lsdc.challenges.hemorrhage.predict.models import TrainedModels, models_of_run
from lsdc.errors import DataError
from lsdc.store.home import Home
from lsdc.store.runs import EXPERIMENT_FILE
from tests.challenges.hemorrhage.training.planted import NAMES

NOTES = "rests-on.json"


@pytest.fixture
def home(models: TrainedModels, tmp_path: Path) -> Home:
    """Return a home with the run of the models; one of four images has each label."""
    home = Home(tmp_path / "home")
    run, folds = home.run("small"), home.root / "folds" / "some"
    for folder in (run, folds):
        folder.mkdir(parents=True)
    (run / EXPERIMENT_FILE).write_text(models.experiment.model_dump_json())
    pl.DataFrame({"fold": pl.Series([3, 0, 0], dtype=pl.Int32)}).write_parquet(run / "oof.parquet")
    for folder in (*models.folds.values(), *models.sequences.values()):
        shutil.copytree(folder, run / folder.name)
    labels = pl.DataFrame({name: [1, 0, 0, 0] for name in NAMES})
    labels.with_columns(image_id=pl.lit("ID")).write_parquet(folds / "labels.parquet")
    (run / NOTES).write_text(json.dumps(["folds/some"]))
    return home


def test_models_are_those_of_the_scored_folds_with_the_prior_of_the_labels(
    home: Home, models: TrainedModels
) -> None:
    found = models_of_run(home, "small")
    assert found.experiment == models.experiment
    run = home.run("small")
    assert found.folds == {0: run / "fold-0", 3: run / "fold-3"}
    assert found.sequences == {0: run / "sequence-0", 3: run / "sequence-3"}
    assert found.prior == pytest.approx(dict.fromkeys(NAMES, 1.5 / 5))  # half an image each way


@pytest.mark.parametrize(
    ("lacking", "message"),
    [
        ("sequence-3/model.safetensors", "sequence-3/model.safetensors, expected the weights of"),
        ("oof.parquet", "oof.parquet: no such file; run the same command again"),
        (NOTES, "no result of the stage folds; run the same command again"),
    ],
)
def test_what_a_run_lacks_is_named(home: Home, lacking: str, message: str) -> None:
    (home.run("small") / lacking).unlink()
    with pytest.raises(DataError, match=message):
        models_of_run(home, "small")
