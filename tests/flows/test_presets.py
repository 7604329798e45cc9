"""The presets after published solutions and a journal train, predict and are scored on a phantom.

Their backbones are replaced by a tiny one, their crops are small, and they train for one epoch.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from lsdc.challenges.lumbar.competition.tables import read_labels
from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.challenges.lumbar.vocabulary import Condition
from lsdc.store.exact_names import read_parquet
from lsdc.store.home import Home
from tests.flows.conftest import lsdc

pytestmark = pytest.mark.slow_runs

PRESETS = [name for name in EXPERIMENTS.names() if name.startswith("winners-")]
IN_3D = "journal-volume"
TRAINED = [IN_3D, *(name for name in PRESETS if not EXPERIMENTS.load(name).members)]
# The demo's, so that points are found in few steps.
POINTS = {
    name: value
    for name, value in EXPERIMENTS.changes("demo").items()
    if name.startswith("coordinates.")
}
TINY = POINTS | {
    "crops.size_px": 32,
    "model.backbone": "test_convnext",
    "model.pretrained": False,
    "model.width": 16,
    "training.epochs": 1,
    "training.batch_size": 4,
    "training.precision": "float32",
}
TINY_IN_3D = TINY | {"model.backbone": "resnet10", "model.encoder_width": 4}


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Yield a home, with a tiny twin of each preset in the user's file."""
    base = tmp_path_factory.mktemp("presets")
    lines = []
    for name in (IN_3D, *PRESETS):
        members = [f"tiny-{each}" for each in EXPERIMENTS.load(name).members]
        changes = {"members": members} if members else TINY_IN_3D if name == IN_3D else TINY
        lines += [f"[tiny-{name}]", f'based_on = "{name}"']
        lines += [f"{key} = {json.dumps(value)}" for key, value in changes.items()]
    file = base / "presets.toml"
    file.write_text("\n".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LSDC_PRESETS", str(file))
        yield Home(base / "home")


def run(name: str, phantom: Path, home: Home) -> Path:
    """Run the twin of a preset, and return its folder."""
    asked = ("--data", phantom, "--home", home.root, "--folds", "2", "--json")
    ran = lsdc("run-local", "--experiment", f"tiny-{name}", *asked)
    assert ran.code == 0, ran.out + ran.err
    return home.run(json.loads(ran.out)["run"])


@pytest.mark.parametrize("name", TRAINED)
def test_preset_trains_on_a_phantom_and_predicts_its_conditions(
    name: str, phantom: Path, home: Home
) -> None:
    folder = run(name, phantom, home)
    oof = read_parquet(folder / "oof.parquet")
    conditions = {Condition(each) for each in EXPERIMENTS.load(name).labels.conditions}
    assert {Condition(each) for each in oof["condition"].unique()} == conditions
    assert oof["fold"].n_unique() == 2
    scores = json.loads((folder / "scores.json").read_text())
    for part, condition in (
        ("spinal", Condition.SPINAL_CANAL_STENOSIS),
        ("foraminal", Condition.LEFT_NEURAL_FORAMINAL_NARROWING),
        ("subarticular", Condition.LEFT_SUBARTICULAR_STENOSIS),
    ):
        assert (scores[part] is not None) == (condition in conditions)


def test_second_level_judges_by_all_presets(phantom: Path, home: Home) -> None:
    members = EXPERIMENTS.load("winners-second").members
    assert len(members) == 7
    for name in members:
        if not home.run(f"tiny-{name}").exists():  # this test alone was asked for
            run(name, phantom, home)
    folder = run("winners-second", phantom, home)
    oof = read_parquet(folder / "oof.parquet")
    assert {*oof["condition"].unique()} == {str(each) for each in Condition}
    shares = oof.select("normal_mild", "moderate", "severe").to_numpy()
    assert np.isfinite(shares).all()
    assert np.allclose(shares.sum(axis=1), 1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_own_data_without_a_gpu_take_a_preset_that_trains_as_it_is(
    phantom: Path, tmp_path: Path
) -> None:
    data = tmp_path / "competition"
    shutil.copytree(phantom, data, ignore=shutil.ignore_patterns("answers"))
    few = ("coordinates.source=annotated", "coordinates.epochs=1", "coordinates.min_steps=4")
    asked = ("--data", data, "--home", tmp_path / "home", "--folds", "2", "--no-pretrained")
    made_with = [word for each in (*few, "training.epochs=1") for word in ("--set", each)]
    ran = lsdc("run-local", *asked, *made_with)
    assert ran.code == 0, ran.out + ran.err
    assert "experiment small: for training without a GPU" in ran.out + ran.err
    (folder,) = (tmp_path / "home" / "runs").glob("small*")
    labels = read_labels(data)
    assert len(read_parquet(folder / "oof.parquet")) == len(labels)
    assert (folder / "submission.csv").is_file()
