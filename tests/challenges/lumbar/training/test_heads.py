"""A fold with all heads and contexts is trained, resumed and predicted."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from safetensors.torch import load_file

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.training.events import Event, StepDone
from tests.challenges.lumbar.training.random_crops import EXPERIMENT, Data

pytestmark = pytest.mark.usefixtures("same_process")

SHARES = ["normal_mild", "moderate", "severe"]
PARTS: dict[str, dict[str, Any]] = {
    "model": {
        "slice_pool": "view_attention",
        "head_samples": 2,
        "head_context": "transformer",
        "study_context": "lstm",
        "head_width": 8,
    },
    "loss": {"view_weight": 0.5, "slice_weight": 0.5, "level_weight": 0.1},
    "augment": {"slice_shift": 0.3, "mixup": 0.5},
    "training": {"batch_by": "study", "batch_size": 2},
}


def experiment() -> Experiment:
    given = EXPERIMENT.model_dump()
    return Experiment.model_validate(
        given | {part: given[part] | changes for part, changes in PARTS.items()}
    )


@pytest.fixture(scope="module")
def marks(data: Data) -> Path:
    """Mark the slot of each condition's series in every other sample."""
    place = {"spinal_canal_stenosis": 1, "left_neural_foraminal_narrowing": 0}
    rows = [(row, name, at) for row in range(0, 40, 2) for name, at in place.items()]
    schema = {"row": pl.Int32, "condition": pl.String, "place": pl.Int32}
    path = data.root / "marks.parquet"
    pl.DataFrame(rows, schema=schema, orient="row").write_parquet(path)
    return path


def test_fold_with_all_heads_is_trained_and_predicted(
    data: Data, marks: Path, tmp_path: Path
) -> None:
    data.train(tmp_path / "fold", experiment=experiment(), marks=marks)
    weights = load_file(tmp_path / "fold" / "model.safetensors")
    for part in ("view_heads", "slice_scores", "head_context", "study_context", "group_head"):
        assert any(name.startswith(part) for name in weights)
    oof = pl.read_parquet(tmp_path / "fold" / "oof.parquet")
    test = data.predict([tmp_path / "fold"], tmp_path / "test.parquet", experiment=experiment())
    for rows in (oof, test):
        assert len(rows)
        np.testing.assert_allclose(rows.select(SHARES).to_numpy().sum(axis=1), 1, atol=1e-6)


def test_fold_with_all_heads_resumes_to_the_same_weights(
    data: Data, marks: Path, tmp_path: Path
) -> None:
    def stop(event: Event) -> None:
        if isinstance(event, StepDone) and (event.epoch, event.step) == (2, 1):
            raise KeyboardInterrupt

    data.train(tmp_path / "whole", experiment=experiment(), marks=marks)
    with pytest.raises(KeyboardInterrupt):
        data.train(tmp_path / "again", experiment=experiment(), marks=marks, on_event=stop)
    data.train(tmp_path / "again", experiment=experiment(), marks=marks)
    whole, again = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "again"))
    assert all((whole[name] == again[name]).all() for name in whole)
