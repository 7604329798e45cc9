"""Test-time augmentation: laws of the mean over views, and folds that are predicted again."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.config.tta import TtaConfig
from lsdc.challenges.lumbar.slices.slots import list_places
from lsdc.challenges.lumbar.training.mirror import mirror, mirror_batch, mirror_grades
from lsdc.challenges.lumbar.training.network import build_model
from lsdc.challenges.lumbar.training.tta import predict_grades
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADES
from lsdc.training.events import Event, StepDone
from lsdc.training.models.model import SliceModel
from lsdc.training.models.outputs import Outputs
from lsdc.training.samples import Labels, Samples, batch_of
from tests.challenges.lumbar.training.random_crops import EXPERIMENT, Data

CPU = torch.device("cpu")
SLICES = EXPERIMENT.slices.model_copy(
    update={"side_slices": 2, "middle_slices": 3, "axial_slices": 2}
)
EVERY_VIEW: dict[str, Any] = {
    "rotate": (-8.0, 8.0),
    "zoom": (0.9, 1.1),
    "slice_shift": (-1, 1),
    "mirror": True,
}


def with_views(experiment: Experiment = EXPERIMENT, **views: Any) -> Experiment:
    return experiment.model_copy(update={"tta": TtaConfig(**views)})


WIDE = EXPERIMENT.model_copy(update={"slices": SLICES})


@pytest.fixture
def samples() -> Samples:
    """Return 7 samples of random pixels, some slices absent."""
    random = np.random.default_rng(0)
    slots = len(list_places(SLICES))
    return Samples(
        slices=random.integers(0, 256, (7, slots, 32, 32), dtype=np.uint8),
        rows=np.arange(7),
        present=random.random((7, slots)) < 0.7,
        labels=Labels(random.integers(0, 3, (7, len(CONDITIONS)))),
        ids=tuple(map(str, range(7))),
    )


@pytest.fixture
def model(one_thread: None) -> SliceModel:
    """Return a model with random weights, on one thread."""
    torch.manual_seed(0)
    return build_model(WIDE, pretrained=False)


def mirrored(samples: Samples) -> Samples:
    """Return the samples of the patients' mirror images."""
    changed = [mirror(sample, SLICES) for sample in samples]
    slices, present = (np.stack([each[part] for each in changed]) for part in (0, 1))
    labels = Labels(np.stack([each.labels.grades for each in changed]))
    return Samples(slices, samples.rows, present, labels, samples.ids)


def predict(model: nn.Module, samples: Samples, **views: Any) -> NDArray[np.float64]:
    return predict_grades(model, samples, with_views(WIDE, **views), device=CPU)  # type: ignore[arg-type]


def test_mirrored_batch_equals_the_mirrored_samples(samples: Samples) -> None:
    found = mirror_batch(batch_of(samples, range(7)), SLICES)
    expected = mirrored(samples)
    assert np.array_equal(found.slices, expected.slices)
    assert np.array_equal(found.present, expected.present)


def test_with_the_mirror_view_a_patient_and_the_mirror_image_have_mirrored_predictions(
    model: SliceModel, samples: Samples
) -> None:
    other = mirrored(samples)
    one, two = (predict(model, each, mirror=True) for each in (samples, other))
    assert np.array_equal(mirror_grades(one), two)
    plain, plain_other = (predict(model, each) for each in (samples, other))
    assert not np.allclose(mirror_grades(plain), plain_other)  # the law is not the model's own
    assert np.array_equal(one, (plain + mirror_grades(plain_other)) / 2)


def test_no_view_reproduces_the_plain_prediction_to_the_bit(
    model: SliceModel, samples: Samples
) -> None:
    found = predict(model, samples)
    batch = batch_of(samples, range(7))
    with torch.inference_mode():
        logits = model.eval()(batch.slices, batch.present).grades.double()
    assert np.array_equal(found, logits.softmax(dim=-1).numpy())


def test_prediction_is_the_mean_of_the_probabilities_of_all_views(
    model: SliceModel, samples: Samples
) -> None:
    plain = predict(model, samples)
    alone = [
        2 * predict(model, samples, **{setting: value}) - plain
        for setting, value in (
            *(("rotate", (degrees,)) for degrees in EVERY_VIEW["rotate"]),
            *(("zoom", (factor,)) for factor in EVERY_VIEW["zoom"]),
            *(("slice_shift", (places,)) for places in EVERY_VIEW["slice_shift"]),
            ("mirror", True),
        )
    ]
    assert all(not np.allclose(view, plain, atol=1e-6) for view in alone)
    found = predict(model, samples, **EVERY_VIEW)
    assert np.allclose(found, np.mean([plain, *alone], axis=0))
    assert np.allclose(found.sum(axis=-1), 1)


class CountSlices(nn.Module):
    """Grade a sample by its number of slices alone, alike on both sides."""

    def forward(self, slices: Tensor, present: Tensor, _: Tensor | None) -> Outputs:
        count = present.sum(dim=1).float()[:, None, None]
        grades = torch.arange(len(GRADES)).float()
        return Outputs((count * grades / slices.shape[1]).expand(-1, len(CONDITIONS), -1))


def test_model_that_no_view_affects_has_the_same_predictions(samples: Samples) -> None:
    views = {name: value for name, value in EVERY_VIEW.items() if name != "slice_shift"}
    plain, found = predict(CountSlices(), samples), predict(CountSlices(), samples, **views)
    assert np.allclose(found, plain, rtol=0, atol=1e-15)
    assert len(np.unique(plain)) > len(GRADES)


def test_pixels_of_absent_slices_have_no_effect_in_any_view(
    model: SliceModel, samples: Samples
) -> None:
    found = predict(model, samples, **EVERY_VIEW)
    samples.slices[~samples.present] ^= 255
    assert np.array_equal(predict(model, samples, **EVERY_VIEW), found)


def test_batch_size_does_not_change_predictions(model: SliceModel, samples: Samples) -> None:
    found = predict(model, samples, **EVERY_VIEW)
    training = WIDE.training.model_copy(update={"batch_size": 2})
    other = with_views(WIDE.model_copy(update={"training": training}), **EVERY_VIEW)
    again = predict_grades(model, samples, other, device=CPU)
    assert np.allclose(found, again, atol=1e-5)


@pytest.mark.usefixtures("same_process")
def test_other_views_predict_a_trained_fold_again_and_train_nothing(
    data: Data, tmp_path: Path
) -> None:
    lines: list[Event] = []
    identity = "the same training"
    data.train(tmp_path, identity=identity)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    views = with_views(rotate=(10.0,), mirror=True)
    data.train(tmp_path, identity=identity, experiment=views, on_event=lines.append)
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert lines
    assert not any(isinstance(event, StepDone) for event in lines)
    changed = {name for name, content in after.items() if before.get(name) != content}
    assert changed == {"oof.parquet", "fit.json"}  # nothing else is predicted in this fold
    first, second = (json.loads(files["fit.json"]) for files in (before, after))
    assert (first["tta"]["mirror"], second["tta"]["mirror"]) == (False, True)
    assert first["seconds"] == second["seconds"]

    (tmp_path / "oof.parquet").write_bytes(b"torn")  # as if it was killed meanwhile
    data.train(tmp_path, identity=identity, experiment=views)
    assert (tmp_path / "oof.parquet").read_bytes() == after["oof.parquet"]
    data.train(tmp_path, identity=identity)
    assert (tmp_path / "oof.parquet").read_bytes() == before["oof.parquet"]
    weights = before["model.safetensors"]
    assert (tmp_path / "model.safetensors").read_bytes() == weights

    data.train(tmp_path / "at-once", identity=identity, experiment=views)
    for name in ("model.safetensors", "oof.parquet", "history.parquet"):
        assert (tmp_path / "at-once" / name).read_bytes() == after[name]

    # The same code predicts these studies as if they were test studies.
    oof = pl.read_parquet(tmp_path / "at-once" / "oof.parquet")
    is_own = pl.col("study_id").is_in(oof["study_id"].unique().implode())
    split = pl.when(is_own).then(pl.lit("test")).otherwise(pl.lit("train"))
    samples = pl.read_parquet(data.root / "samples.parquet").with_columns(split=split)
    samples.write_parquet(tmp_path / "samples.parquet")
    (tmp_path / "crops.npy").symlink_to(data.root / "crops.npy")
    other = replace(data, root=tmp_path)
    found = other.predict([tmp_path], tmp_path / "test.parquet", experiment=views)
    assert found.equals(oof.select(found.columns))


def test_mirror_view_suits_a_model_of_the_canal_alone() -> None:
    conditions = ["spinal_canal_stenosis"]
    views = {"tta": {"mirror": True}, "labels": {"conditions": conditions}}
    assert Experiment.model_validate({"name": "x", **views}).tta.mirror
