"""The models of a run: what a run lacks is said."""

import json
from pathlib import Path

import polars as pl
import pytest

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.challenges.lumbar.ensemble.fitted import FittedOn
from lsdc.challenges.lumbar.ensemble.model import Ensemble
from lsdc.challenges.lumbar.ensemble.weights import Weights
from lsdc.challenges.lumbar.predict.models import EnsembleModels, TrainedModels, models_of_run
from lsdc.errors import DataError, SettingsError
from lsdc.store.files import digest_file
from lsdc.store.home import open_home
from lsdc.store.runs import EXPERIMENT_FILE


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Write a run with two folds, of which only the tables and names matter here."""
    opened = open_home(tmp_path / "home")
    run = opened.run("demo")
    for fold in (0, 1):
        (run / f"fold-{fold}").mkdir(parents=True)
        (run / f"fold-{fold}" / "model.safetensors").write_bytes(b"weights")
    (run / EXPERIMENT_FILE).write_text(EXPERIMENTS.load("demo").model_dump_json())
    pl.DataFrame({"fold": [0, 0, 1]}).write_parquet(run / "oof.parquet")
    for place in ("coordinates/a", "coordinates/b", "folds/c"):
        (opened.root / place).mkdir(parents=True)
    # A test result comes first by name, and has no models.
    (opened.root / "coordinates/b/usual.json").write_text("{}")
    for fold in (0, 1):
        (opened.root / f"coordinates/b/fold-{fold}-axial.safetensors").write_bytes(b"net")
    cell = {"study_id": 1, "condition": "spinal_canal_stenosis", "level": "l1_l2", "grade": 2}
    pl.DataFrame([cell]).write_parquet(opened.root / "folds/c/labels.parquet")
    results = ["coordinates/a", "coordinates/b", "folds/c"]
    (run / "rests-on.json").write_text(json.dumps(results))
    return opened.root


def test_models_are_those_of_the_scored_folds_and_of_the_training_studies(home: Path) -> None:
    models = models_of_run(home, "demo")
    assert isinstance(models, TrainedModels)
    assert list(models.folds) == [0, 1]
    assert models.points == home / "coordinates" / "b"
    assert models.experiment.name == "demo"
    assert len(models.prior) == 25


def test_what_a_run_lacks_is_said(home: Path) -> None:
    with pytest.raises(SettingsError, match="no run named 'dmeo', found: demo"):
        models_of_run(home, "dmeo")
    weights = home / "runs/demo/fold-1/model.safetensors"
    weights.rename(weights.with_name("elsewhere"))
    with pytest.raises(DataError, match=r"no model\.safetensors in .*fold-1, expected"):
        models_of_run(home, "demo")
    weights.with_name("elsewhere").rename(weights)
    for net in (home / "coordinates/b").glob("*.safetensors"):
        net.unlink()
    with pytest.raises(DataError, match=r"lacks the models that find the level points .*annota"):
        models_of_run(home, "demo")
    (home / "coordinates/b/usual.json").unlink()
    with pytest.raises(DataError, match=r"no result of the stage coordinates .* run the same"):
        models_of_run(home, "demo")


def write_ensemble(home: Path) -> None:
    """Write an ensemble of the run, fitted to its present models."""
    run = home / "runs" / "both"
    (run / "ensemble").mkdir(parents=True)
    experiment = Experiment(name="both", members=("demo",))
    (run / EXPERIMENT_FILE).write_text(experiment.model_dump_json())
    (run / "rests-on.json").write_text(json.dumps(["folds/c"]))
    fitted = Ensemble(members=("demo",), combine=Weights.equal(1))
    fitted.save(run / "ensemble" / "ensemble.json")
    digest = digest_file(home / "runs/demo/fold-0/model.safetensors")
    models = {"demo": dict.fromkeys((0, 1), digest)}
    record = FittedOn(runs={"demo": "demo"}, models=models, selected=False)
    record.save(run / "ensemble" / "fit.json")


def test_an_ensemble_has_the_models_of_its_members(home: Path) -> None:
    write_ensemble(home)
    models = models_of_run(home, "both")
    assert isinstance(models, EnsembleModels)
    assert list(models.folds) == ["demo 0", "demo 1"]
    assert [each.points for each in models.each] == [home / "coordinates" / "b"]
    row = {"row_id": "1_spinal_canal_stenosis_l1_l2", "study_id": 1}
    cell = {"condition": "spinal_canal_stenosis", "level": "l1_l2"}
    grades = {"normal_mild": 0.25, "moderate": 0.25, "severe": 0.5}
    table = pl.DataFrame([row | cell | grades])
    assert models.join([table]).to_dicts() == table.to_dicts()
    folds = models.join_folds([pl.concat([table, table]).with_columns(fold=pl.Series([0, 1]))])
    assert folds["fold"].to_list() == ["demo 0", "demo 1"]
    assert models.join([pl.DataFrame()]).is_empty()


def test_an_ensemble_whose_member_was_trained_again_is_refused(home: Path) -> None:
    write_ensemble(home)
    (home / "runs/demo/fold-1/model.safetensors").write_bytes(b"others")
    with pytest.raises(DataError, match="run both: its member runs/demo was trained again since"):
        models_of_run(home, "both")
