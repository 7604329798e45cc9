"""Models with random weights, and a competition's fragments to predict with them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lsdc.challenges.ink.config.presets import EXPERIMENTS
from lsdc.challenges.ink.inference import predict as maps
from lsdc.challenges.ink.masks.rule import Rule
from lsdc.challenges.ink.predict.models import TrainedModels
from lsdc.challenges.ink.training.network import build_network
from lsdc.training.checkpoint import save_weights
from lsdc.training.trained_fold import WEIGHTS
from tests.challenges.ink.made_fragments import write_fragment
from tests.in_process import run_jobs_here

SETTINGS = [
    *("tiles.size_px=32", "tiles.first_layer=26", "tiles.groups=8"),
    *("inference.stride_px=16", "inference.batch_size=4"),
]
SHAPES = {"b": (40, 40), "a": (64, 48)}  # in the order of the sample submission
RULE = Rule("quantile", 0.8, min_region_px=4)


@pytest.fixture
def same_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Predict maps in this process, where torch is loaded already."""
    run_jobs_here(monkeypatch, maps)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> TrainedModels:
    """Return the models of folds 0 and 3."""
    root = tmp_path_factory.mktemp("models") / "small"
    experiment = EXPERIMENTS.load("ink-demo", SETTINGS)
    folds = {}
    for fold in (0, 3):
        torch.manual_seed(fold)
        folds[fold] = root / f"fold-{fold}"
        folds[fold].mkdir(parents=True)
        network = build_network(experiment, pretrained=False)
        save_weights(folds[fold] / WEIGHTS, network.state_dict())
    return TrainedModels("small", experiment, folds, RULE)


@pytest.fixture(scope="module")
def competition(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a competition with two small test fragments; tests must not change it."""
    root = tmp_path_factory.mktemp("competition") / "data"
    rng = np.random.default_rng(0)
    for name, shape in SHAPES.items():
        mask = np.ones(shape, bool)
        mask[:, :9] = False
        volume = rng.integers(1, 65535, (65, *shape)).astype(np.uint16) * mask
        write_fragment(root, name, "test", mask, volume=volume)
    rows = "".join(f"{name},1 1\n" for name in SHAPES)
    (root / "sample_submission.csv").write_text(f"Id,Predicted\n{rows}")
    return root
