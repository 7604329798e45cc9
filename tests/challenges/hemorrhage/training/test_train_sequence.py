"""Training of the model over a study: its results, that nothing leaks, and when it is repeated."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.hemorrhage.config.experiment import Experiment
from lsdc.challenges.hemorrhage.scoring.oof import HeldOut, OutOfFold
from lsdc.challenges.hemorrhage.training.stacking import Stacking
from lsdc.errors import DataError
from lsdc.training.events import Event, StepDone
from tests.challenges.hemorrhage.training.planted import NAMES, Data, small
from tests.challenges.hemorrhage.training.test_train_fold import held_out_changed

NET = small()
LSTM = small("sequence.kind=lstm", "sequence.layers=2", "training.precision=bfloat16")
STACKING = small("sequence.kind=stacking", "sequence.reach=1")


@pytest.fixture(scope="module")
def fold(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a fold whose vectors are planted: a feature is the blob."""
    out = tmp_path_factory.mktemp("fold")
    tables = [pl.read_parquet(each) for each in (data.labels, data.holdout)]
    blob = pl.concat(tables)["subdural"].to_numpy()
    vectors = np.random.default_rng(0).normal(0, 0.1, (60, 8 + 6 + 2)).astype(np.float32)
    vectors[:, 0] += 2 * blob - 1
    vectors[:, 8 + NAMES.index("subdural")] += 4 * blob - 2
    np.save(out / "vectors.npy", vectors)
    return out


@pytest.mark.usefixtures("same_process")
@pytest.mark.parametrize("experiment", [NET, LSTM, STACKING], ids=["gru", "lstm", "stacking"])
def test_all_slices_of_the_fold_and_the_holdout_are_predicted(
    experiment: Experiment, data: Data, fold: Path, tmp_path: Path
) -> None:
    shutil.copy(fold / "vectors.npy", tmp_path)
    oof = data.train_sequence(tmp_path, experiment=experiment)
    folds = pl.read_parquet(data.folds)
    assert set(oof["image_id"]) == set(folds.filter(fold=0)["image_id"])
    held = pl.read_parquet(tmp_path / "sequence" / "holdout.parquet")
    assert set(held["image_id"]) == set(pl.read_parquet(data.holdout)["image_id"])
    OutOfFold.check(oof)
    HeldOut.check(held)
    for table in (oof, held):
        found = table.select(NAMES).to_numpy()
        assert found.min() >= 0
        assert found.max() <= 1
    recorded = json.loads((tmp_path / "sequence" / "fit.json").read_text())
    assert recorded["seed"] == 3
    assert not (tmp_path / "sequence" / "resume.pt").exists()


@pytest.mark.usefixtures("same_process")
@pytest.mark.parametrize("experiment", [NET, STACKING], ids=["gru", "stacking"])
def test_own_labels_of_a_fold_affect_neither_model_nor_predictions(
    experiment: Experiment, data: Data, fold: Path, tmp_path: Path
) -> None:
    found = []
    for name, given in (("a", data), ("b", held_out_changed(data, tmp_path))):
        (tmp_path / name).mkdir()
        shutil.copy(fold / "vectors.npy", tmp_path / name)
        found.append(given.train_sequence(tmp_path / name, experiment=experiment))
    assert found[0].select(NAMES).equals(found[1].select(NAMES))
    assert not found[0]["label_any"].equals(found[1]["label_any"])
    weights = [tmp_path / name / "sequence" / "model.safetensors" for name in "ab"]
    assert weights[0].read_bytes() == weights[1].read_bytes()


@pytest.mark.usefixtures("same_process")
def test_folds_by_image_hide_the_labels_of_a_studys_own_slices(
    data: Data, fold: Path, tmp_path: Path
) -> None:
    folds = tmp_path / "folds.parquet"
    pl.read_parquet(data.folds).with_row_index("n").with_columns(
        fold=(pl.col("n") % 3).cast(pl.Int32)
    ).drop("n").write_parquet(folds)
    leaky = Data(data.root, folds_file=folds)
    found = []
    for name, given in (("a", leaky), ("b", held_out_changed(leaky, tmp_path))):
        (tmp_path / name).mkdir()
        shutil.copy(fold / "vectors.npy", tmp_path / name)
        found.append(given.train_sequence(tmp_path / name))
    assert found[0].select(NAMES).equals(found[1].select(NAMES))
    assert len(found[0]) == 18


@pytest.mark.usefixtures("same_process")
def test_it_is_repeated_only_after_a_change_of_settings_or_vectors(
    data: Data, fold: Path, tmp_path: Path
) -> None:
    lines: list[Event] = []
    shutil.copy(fold / "vectors.npy", tmp_path)
    first = data.train_sequence(tmp_path)
    data.train_sequence(tmp_path, on_event=lines.append)
    assert not lines
    vectors = np.load(tmp_path / "vectors.npy")
    np.save(tmp_path / "vectors.npy", vectors[:, ::-1])
    again = data.train_sequence(tmp_path, on_event=lines.append)
    assert lines
    assert not again.select(NAMES).equals(first.select(NAMES))
    np.save(tmp_path / "vectors.npy", vectors[:, 1:])
    with pytest.raises(DataError, match="expected 60 slices with 16 columns"):
        data.train_sequence(tmp_path)


@pytest.mark.slow_training
def test_interrupted_training_resumes_to_the_same_bytes(
    data: Data, fold: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    for name in ("left", "whole"):
        (tmp_path / name).mkdir()
        shutil.copy(fold / "vectors.npy", tmp_path / name)

    def interrupt(event: Event) -> None:
        if isinstance(event, StepDone) and event.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        data.train_sequence(tmp_path / "left", on_event=interrupt)
    assert (tmp_path / "left" / "sequence" / "resume.pt").exists()
    request.getfixturevalue("same_process")
    for name in ("left", "whole"):
        data.train_sequence(tmp_path / name)
    for name in ("model.safetensors", "oof.parquet", "steps.parquet"):
        both = [tmp_path / run / "sequence" / name for run in ("left", "whole")]
        assert both[0].read_bytes() == both[1].read_bytes()


def test_stacking_reads_the_neighbours_and_survives_a_label_that_never_occurs() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 3, (400, 3, 6))
    labels = np.zeros((400, 6), np.float32)
    labels[:, 1] = logits[:, 0, 2] > 0  # the slice before tells it
    model = Stacking(1)
    model.fit(logits, labels, strength=1.0)
    found = model(logits)
    assert ((found[:, 1] > 0.5) == labels[:, 1]).mean() > 0.97
    assert found[:, 0].max() < 0.01
    with_reach = model.read.weight[1].reshape(3, 6)
    assert with_reach.argmax().item() == 2
