"""The presets after the published solutions train, predict and are scored on a phantom.

Their backbones are replaced by a tiny one, their crops are small, and they train for one epoch.
"""

import json
from pathlib import Path

import pytest

from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.challenges.lumbar.vocabulary import Condition
from lsdc.store.exact_names import read_parquet
from lsdc.store.home import Home
from tests.flows.conftest import lsdc

pytestmark = pytest.mark.slow_training

PRESETS = [name for name in EXPERIMENTS.names() if name.startswith("winners-")]
TRAINED = [name for name in PRESETS if not EXPERIMENTS.load(name).members]
# The demo's, so that points are found in few steps.
POINTS = {
    name: value
    for name, value in EXPERIMENTS.changes("demo").items()
    if name.startswith("coordinates.")
}
TINY = POINTS | {
    "crops.size_px": 32,
    "model.backbone": "test_convnext",
    "model.pretrained": "false",
    "model.width": 16,
    "training.epochs": 1,
    "training.batch_size": 4,
    "training.precision": "float32",
}
CHANGES = [word for name, value in TINY.items() for word in ("--set", f"{name}={value}")]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("presets") / "home")


@pytest.mark.parametrize("name", TRAINED)
def test_preset_trains_on_a_phantom_and_predicts_its_conditions(
    name: str, phantom: Path, home: Home
) -> None:
    asked = ("--data", phantom, "--home", home.root, "--folds", "2", "--json")
    ran = lsdc("run-local", "--experiment", name, *asked, *CHANGES)
    assert ran.code == 0, ran.out + ran.err
    run = home.run(json.loads(ran.out)["run"])
    oof = read_parquet(run / "oof.parquet")
    conditions = {Condition(each) for each in EXPERIMENTS.load(name).labels.conditions}
    assert {Condition(each) for each in oof["condition"].unique()} == conditions
    assert oof["fold"].n_unique() == 2
    scores = json.loads((run / "scores.json").read_text())
    for part, condition in (
        ("spinal", Condition.SPINAL_CANAL_STENOSIS),
        ("foraminal", Condition.LEFT_NEURAL_FORAMINAL_NARROWING),
        ("subarticular", Condition.LEFT_SUBARTICULAR_STENOSIS),
    ):
        assert (scores[part] is not None) == (condition in conditions)


def test_second_level_judges_by_all_presets(phantom: Path, home: Home) -> None:
    asked = ("--data", phantom, "--home", home.root, "--folds", "2", "--json")
    ran = lsdc("run-local", "--experiment", "winners-second", *asked)
    assert ran.code == 0, ran.out + ran.err
    oof = read_parquet(home.run("winners-second") / "oof.parquet")
    assert {*oof["condition"].unique()} == {str(each) for each in Condition}
