"""A small phantom, written once."""

from pathlib import Path

import pytest

from lsdc.challenges.ink.phantom.order import Order
from lsdc.challenges.ink.phantom.writer import write_phantom

ORDER = Order(rows=320, columns=288, scale=12.0)


@pytest.fixture(scope="session")
def ink_phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a phantom of three training and two test fragments; tests must not change it."""
    root = tmp_path_factory.mktemp("ink-phantom") / "competition"
    write_phantom(root, ORDER)
    return root
