"""A model with a 3-D encoder trains and predicts like any other."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.challenges.lumbar.training.random_crops import EXPERIMENT, Data
from tests.training.runs import altered

IN_3D = {
    "encoder": "volume",
    "backbone": "resnet10",
    "encoder_width": 4,
    "pretrained": False,
    "pixels": "sample",
    "width": 8,
}
VOLUMES = altered(EXPERIMENT, model=IN_3D)

pytestmark = pytest.mark.usefixtures("same_process")


def test_a_fold_with_volumes_is_trained_and_predicted(data: Data, tmp_path: Path) -> None:
    for out in ("one", "other"):
        data.train(tmp_path / out, experiment=VOLUMES)
    one, other = (pl.read_parquet(tmp_path / out / "oof.parquet") for out in ("one", "other"))
    assert one.equals(other)
    shares = one.select("normal_mild", "moderate", "severe").to_numpy()
    assert np.isfinite(shares).all()
    assert len(np.unique(shares.round(6), axis=0)) > 5
    found = data.predict([tmp_path / "one"], tmp_path / "predicted.parquet", experiment=VOLUMES)
    assert found.height > 0
