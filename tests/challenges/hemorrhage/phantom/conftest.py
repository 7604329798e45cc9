"""A small head phantom with all oddities, and its files."""

from pathlib import Path

import pytest

from lsdc.challenges.hemorrhage.phantom.study import Order
from lsdc.challenges.hemorrhage.phantom.writer import write_phantom
from tests.challenges.hemorrhage.phantom.written import Headers, read_files


@pytest.fixture(scope="package")
def order() -> Order:
    return Order(studies=10, test=1, seed=3, size=64, fewest_slices=11, most_slices=13)


@pytest.fixture(scope="package")
def head_phantom(tmp_path_factory: pytest.TempPathFactory, order: Order) -> Path:
    """Write the phantom; tests must not change it."""
    root = tmp_path_factory.mktemp("heads") / "competition"
    write_phantom(root, order)
    return root


@pytest.fixture(scope="package")
def files(head_phantom: Path) -> Headers:
    """Read the training files, by study."""
    return read_files(head_phantom)
