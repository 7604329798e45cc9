"""Planted slices to train on, and training in the test process."""

import pytest

from lsdc.challenges.hemorrhage.training import occlusion, train_sequence
from lsdc.jobs import fold, predict
from tests.challenges.hemorrhage.training.planted import Data, plant
from tests.in_process import run_jobs_here


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """Return ten studies of six slices, of which nine are in folds."""
    return plant(tmp_path_factory.mktemp("slices"), studies=10, slices=6)


@pytest.fixture
def same_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the children's work in this process, since importing torch again takes seconds."""
    run_jobs_here(monkeypatch, fold, train_sequence, predict, occlusion)
