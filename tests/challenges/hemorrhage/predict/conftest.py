"""Models with random weights, and a phantom's studies to predict with them."""

from pathlib import Path

import pytest
import torch

from lsdc.challenges.hemorrhage.phantom.study import Order
from lsdc.challenges.hemorrhage.phantom.writer import write_phantom
from lsdc.challenges.hemorrhage.predict.models import TrainedModels
from lsdc.challenges.hemorrhage.training.network import build_model
from lsdc.challenges.hemorrhage.training.sequence import build_second
from lsdc.training.checkpoint import save_weights
from lsdc.training.trained_fold import WEIGHTS
from tests.challenges.hemorrhage.training.conftest import same_process
from tests.challenges.hemorrhage.training.planted import NAMES, small

__all__ = ["same_process"]  # a fixture of the tests of training

TEST_STUDIES = 3


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> TrainedModels:
    """Return the models of folds 0 and 3: of slices, which see their neighbours, and of stacks."""
    root = tmp_path_factory.mktemp("models")
    experiment = small("model.neighbours=[-1, 0, 1]")
    folds, sequences = {}, {}
    for fold in (0, 3):
        torch.manual_seed(fold)
        for kind, found, model in (
            ("fold", folds, build_model(experiment, pretrained=False)),
            ("sequence", sequences, build_second(experiment)),
        ):
            found[fold] = root / f"{kind}-{fold}"
            found[fold].mkdir()
            save_weights(found[fold] / WEIGHTS, model.state_dict())
    prior = {name: 0.01 * (number + 1) for number, name in enumerate(NAMES)}
    return TrainedModels("small", experiment, folds, sequences, prior)


@pytest.fixture(scope="module")
def competition(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a competition of small studies; tests must not change it."""
    root = tmp_path_factory.mktemp("competition") / "data"
    write_phantom(root, Order(2, TEST_STUDIES, seed=3, size=48, fewest_slices=8, most_slices=10))
    return root
