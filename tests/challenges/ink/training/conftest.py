from pathlib import Path

import pytest

from tests.challenges.ink.training.planted import plant


@pytest.fixture(scope="session")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plant(tmp_path_factory.mktemp("volumes"))
