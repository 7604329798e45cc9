from collections.abc import Callable

import numpy as np
import pytest
import torch

from lsdc.training.models.model import SliceModel, Task
from lsdc.training.samples import Labels, Samples
from lsdc.training.settings.model import ModelSettings


@pytest.fixture(scope="session")
def blobs() -> Samples:
    """Return 24 samples of 4 slices, 32 px; head k's class is the size of the blob on slice k."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, (24, 2))
    slices = random.normal(90, 15, (24, 4, 32, 32))
    y, x = np.mgrid[:32, :32] - 16
    for sample, classes in enumerate(labels):
        for head, size in enumerate(classes):
            slices[sample, head] += 100 * (np.hypot(y, x) < 3 + 4 * size)
    present = np.ones((24, 4), dtype=bool)
    present[::5, 3] = False
    labels[3, 0] = -100
    return Samples(
        slices=slices.clip(0, 255).astype(np.uint8),
        rows=np.arange(24),
        present=present,
        labels=Labels(labels),
        ids=tuple(f"sample{number}" for number in range(24)),
    )


@pytest.fixture
def build() -> Callable[[], SliceModel]:
    """Return a function that builds the same small model at each call."""

    def build_small() -> SliceModel:
        torch.manual_seed(0)
        settings = ModelSettings(backbone="test_efficientnet_gn", width=16)
        return SliceModel(settings, Task(4, 32, heads=2, classes=3), pretrained=False)

    return build_small
