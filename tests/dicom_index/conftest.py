"""Fixtures for tests of the index: the lumbar phantom, its first stages, an empty tree."""

import shutil
from pathlib import Path

import pytest

from tests.challenges.lumbar.conftest import walked

__all__ = ["walked"]


@pytest.fixture
def copy(phantom: Path, tmp_path: Path) -> Path:
    root = tmp_path / "competition"
    shutil.copytree(phantom, root)
    return root


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    root.mkdir()
    return root
