"""A bundle of models with random weights."""

from pathlib import Path

import pytest

from lsdc.challenges.ink.pack.layout import KIND
from lsdc.challenges.ink.pack.write import put_run
from lsdc.challenges.ink.predict.models import TrainedModels
from lsdc.pack.libraries import kaggle_image
from lsdc.pack.write import Content, write_bundle
from tests.challenges.ink.predict.conftest import competition, models, same_process

__all__ = ["competition", "models", "same_process"]  # fixtures of other tests


def pack(out: Path, *runs: TrainedModels) -> Path:
    """Pack models, which lie in the folders of their runs."""

    def put(made: Path) -> Content:
        folders = (next(iter(each.folds.values())).parent for each in runs)
        return Content([put_run(*each, made) for each in zip(runs, folders, strict=True)], [])

    write_bundle([each.name for each in runs], out, KIND, put, image=kaggle_image())
    return out


@pytest.fixture(scope="module")
def bundle(models: TrainedModels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pack the models; tests must not change the bundle."""
    return pack(tmp_path_factory.mktemp("pack") / "bundle", models)
