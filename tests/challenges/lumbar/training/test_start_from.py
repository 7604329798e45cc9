"""Training that starts from the weights of another experiment."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from lsdc.challenges.lumbar.config.crops import CropsConfig
from lsdc.challenges.lumbar.config.loss import LossConfig
from lsdc.errors import StageError
from lsdc.experiments.base import NeedsConfig
from tests.challenges.lumbar.training.random_crops import EXPERIMENT, Data


@pytest.mark.usefixtures("same_process")
def test_training_starts_only_from_weights_of_the_same_folds(data: Data, tmp_path: Path) -> None:
    data.train(tmp_path / "first")
    weights = tmp_path / "first" / "model.safetensors"
    barely = EXPERIMENT.training.model_copy(update={"learning_rate": 1e-12, "epochs": 1})
    experiment = EXPERIMENT.model_copy(
        update={"training": barely, "needs": NeedsConfig(weights="first")}
    )
    data.train(tmp_path / "second", experiment=experiment, start_from=weights)
    before, after = load_file(weights), load_file(tmp_path / "second" / "model.safetensors")
    assert all(torch.allclose(before[name], after[name]) for name in before)

    folds = tmp_path / "folds.parquet"
    pl.read_parquet(data.folds).with_columns(fold=1 - pl.col("fold")).write_parquet(folds)
    with pytest.raises(StageError, match="first: trained on another split"):
        replace(data, folds=folds).train(tmp_path / "third", start_from=weights)
    with pytest.raises(StageError, match=r"absent: no trained fold.* run experiment"):
        data.train(tmp_path / "third", start_from=tmp_path / "absent" / "model.safetensors")


@pytest.mark.usefixtures("same_process")
def test_training_starts_from_weights_of_another_crop_size(data: Data, tmp_path: Path) -> None:
    data.train(tmp_path / "small")
    weights = tmp_path / "small" / "model.safetensors"
    crops = np.load(data.root / "crops.npy").repeat(2, axis=2).repeat(2, axis=3)
    np.save(tmp_path / "crops.npy", crops)
    (tmp_path / "samples.parquet").write_bytes((data.root / "samples.parquet").read_bytes())
    larger = EXPERIMENT.model_copy(
        update={
            "crops": CropsConfig(size_px=64),
            "training": EXPERIMENT.training.model_copy(
                update={"learning_rate": 1e-12, "epochs": 1}
            ),
            "needs": NeedsConfig(weights="small"),
        }
    )
    replace(data, root=tmp_path).train(tmp_path / "large", experiment=larger, start_from=weights)
    before, after = load_file(weights), load_file(tmp_path / "large" / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.allclose(before[name], after[name]) for name in before)

    wider = EXPERIMENT.model_copy(
        update={
            "model": EXPERIMENT.model.model_copy(update={"width": 16}),
            "needs": NeedsConfig(weights="small"),
        }
    )
    with pytest.raises(
        StageError, match=r"these weights do not fit the model of small.* size mismatch for places"
    ):
        data.train(tmp_path / "wide", experiment=wider, start_from=weights)


@pytest.mark.usefixtures("same_process")
@pytest.mark.parametrize("frozen", [0, 2])
def test_last_epochs_train_on_the_metric(frozen: int, data: Data, tmp_path: Path) -> None:
    data.train(tmp_path / "first")
    weights = tmp_path / "first" / "model.safetensors"
    by_study = {"batch_by": "study", "batch_size": 2, "epochs": 2, "freeze_epochs": frozen}
    experiment = EXPERIMENT.model_copy(
        update={
            "loss": LossConfig(average="conditions", any_weight=1.0),
            "training": EXPERIMENT.training.model_copy(update=by_study),
            "needs": NeedsConfig(weights="first"),
        }
    )
    data.train(tmp_path / "last", experiment=experiment, start_from=weights)
    history = pl.read_parquet(tmp_path / "last" / "history.parquet")
    assert len(history) == 2
    assert history["validation_loss"].to_list() == pytest.approx(history["score"].to_list())
    assert history["score"].to_list() != pytest.approx(history["loss"].to_list())  # other studies
    before, after = load_file(weights), load_file(tmp_path / "last" / "model.safetensors")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {"backbone" in name for name in changed} == ({False} if frozen else {False, True})
