"""A phantom of six studies, the fewest that hold every oddity, shared by the tests here."""

from pathlib import Path

import pytest

from lsdc.phantom.writer import write_phantom


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("phantom") / "competition"
    write_phantom(out, studies=6, test=2, seed=3, max_size=64)
    return out
