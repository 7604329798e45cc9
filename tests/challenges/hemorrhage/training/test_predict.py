"""Predictions by the models of all folds, and test-time augmentation."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from lsdc.challenges.hemorrhage.training.network import build_model
from lsdc.challenges.hemorrhage.training.samples import as_samples, read_slices
from lsdc.challenges.hemorrhage.training.tta import list_views, predict_labels, view_weights
from lsdc.errors import StageError
from lsdc.training.models.model import SliceModel
from tests.challenges.hemorrhage.training.planted import NAMES, Data, small
from tests.challenges.hemorrhage.training.test_train_fold import ALONE

CPU = torch.device("cpu")
NO_SEQUENCE = "sequence.kind=none"


def build(*settings: str) -> SliceModel:
    torch.manual_seed(0)
    return build_model(small(*settings), pretrained=False)


@pytest.mark.usefixtures("same_process")
def test_images_are_predicted_by_the_mean_of_the_models(data: Data, tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    oof = data.train(folders[0], experiment=ALONE)
    data.train(folders[1], experiment=ALONE, seed=4)
    images = tmp_path / "images.parquet"
    oof.select("image_id").write_parquet(images)
    both = data.predict(folders, tmp_path / "test.parquet", experiment=ALONE, images=images)
    assert both.columns == ["image_id", *NAMES]
    assert both["image_id"].equals(oof["image_id"])
    alone = pl.read_parquet(tmp_path / "by_fold.parquet").partition_by("model")
    first, second = (table.select(NAMES).to_numpy() for table in alone)
    assert np.allclose(both.select(NAMES).to_numpy(), (first + second) / 2)
    assert np.allclose(first, oof.select(NAMES).to_numpy())  # the same model and slices
    assert not np.allclose(first, second)
    every = data.predict(folders, tmp_path / "every.parquet", experiment=ALONE)
    assert len(every) == 60


@pytest.mark.usefixtures("same_process")
@pytest.mark.parametrize("kind", ["gru", "stacking"])
def test_a_sequence_model_predicts_as_it_did_out_of_fold(
    kind: str, data: Data, tmp_path: Path
) -> None:
    experiment = small(f"sequence.kind={kind}")
    data.train(tmp_path, experiment=experiment)
    oof = data.train_sequence(tmp_path, experiment=experiment)
    found = data.predict([tmp_path], tmp_path / "test.parquet", experiment=experiment)
    beside = oof.select("image_id").join(found, on="image_id", maintain_order="left")
    assert np.allclose(beside.select(NAMES).to_numpy(), oof.select(NAMES).to_numpy(), atol=1e-6)
    assert not list(tmp_path.glob(".vectors-*"))


@pytest.mark.usefixtures("same_process")
def test_damaged_weights_are_refused(data: Data, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(StageError, match="these weights do not fit the model of ich-demo"):
        data.predict([tmp_path], tmp_path / "test.parquet")


def test_corners_and_flips_weigh_as_asked(data: Data) -> None:
    plain = small(NO_SEQUENCE)
    notes = small(NO_SEQUENCE, "tta.corners=1.35", "tta.plain_share=0.4")
    assert len(list_views(notes.tta)) == 8
    assert view_weights(notes.tta) == pytest.approx([0.4, *[0.6 / 8] * 8])
    samples = as_samples(data.root, read_slices(data.root)[:8], plain)
    model = build(NO_SEQUENCE)
    found = predict_labels(model, samples, notes, device=CPU)
    alone = predict_labels(model, samples, plain, device=CPU)
    views = small(NO_SEQUENCE, "tta.corners=1.35", "tta.plain_share=1e-9")
    of_views = predict_labels(model, samples, views, device=CPU)
    assert np.allclose(found, 0.4 * alone + 0.6 * of_views, atol=1e-6)
    assert not np.allclose(alone, of_views, atol=1e-4)


def test_a_flipped_slice_has_the_same_prediction_with_the_flip_as_a_view(data: Data) -> None:
    experiment = small(NO_SEQUENCE, "tta.horizontal_flip=true")
    assert view_weights(experiment.tta) == [0.5, 0.5]
    samples = as_samples(data.root, read_slices(data.root)[:8], experiment)
    stored = np.load(data.root / "slices.npy")[:, :, :, ::-1]
    flipped = replace(samples, slices=stored)
    model = build(NO_SEQUENCE)
    found, other = (
        predict_labels(model, each, experiment, device=CPU) for each in (samples, flipped)
    )
    assert np.allclose(found, other, atol=1e-6)


@pytest.mark.usefixtures("same_process")
def test_without_a_slice_to_predict_the_table_is_empty(data: Data, tmp_path: Path) -> None:
    images = tmp_path / "images.parquet"
    pl.DataFrame({"image_id": ["ID_unknown"]}).write_parquet(images)
    found = data.predict([], tmp_path / "test.parquet", images=images)
    assert (len(found), found.columns) == (0, ["image_id", *NAMES])
