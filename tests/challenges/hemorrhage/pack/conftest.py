"""A bundle of models with random weights."""

from pathlib import Path

import pytest

from lsdc.challenges.hemorrhage.pack.layout import KIND
from lsdc.challenges.hemorrhage.pack.write import put_run
from lsdc.challenges.hemorrhage.predict.models import TrainedModels
from lsdc.pack.libraries import kaggle_image
from lsdc.pack.write import Content, write_bundle
from tests.challenges.hemorrhage.predict.conftest import competition, models
from tests.challenges.hemorrhage.training.conftest import same_process

__all__ = ["competition", "models", "same_process"]  # fixtures of other tests


@pytest.fixture(scope="module")
def bundle(models: TrainedModels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pack the models; tests must not change the bundle."""
    out = tmp_path_factory.mktemp("pack") / "bundle"
    run = next(iter(models.folds.values())).parent

    def put(made: Path) -> Content:
        return Content([put_run(models, run, made)], [])

    write_bundle([run.name], out, KIND, put, image=kaggle_image())
    return out
