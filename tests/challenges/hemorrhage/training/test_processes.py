"""A fold that several processes train together."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.challenges.hemorrhage.training.planted import Data, small

pytestmark = pytest.mark.slow_training


def test_two_processes_train_a_fold_as_one_does(
    data: Data, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    experiment = small("sequence.kind=none")
    two = data.train(tmp_path / "two", experiment=experiment, beside=("cpu",))
    request.getfixturevalue("same_process")
    one = data.train(tmp_path / "one", experiment=experiment)
    numbers = pl.selectors.float()
    steps = [pl.read_parquet(tmp_path / name / "steps.parquet") for name in ("one", "two")]
    for table, other in ((one, two), steps):
        assert np.allclose(
            other.select(numbers).to_numpy(), table.select(numbers).to_numpy(), rtol=1e-3
        )
    sizes = [
        [each["world_size"] for each in json.loads(file.read_text())["processes"]]
        for file in (tmp_path / "one" / "fit.json", tmp_path / "two" / "fit.json")
    ]
    assert sizes == [[1], [2]]
