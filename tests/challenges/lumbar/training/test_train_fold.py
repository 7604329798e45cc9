"""Training of a fold: its results, its training data, and when it is repeated."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.lumbar.scoring.metric import score
from lsdc.challenges.lumbar.scoring.oof import OutOfFold
from lsdc.errors import SettingsError, StageError
from lsdc.training.events import EpochDone, Event, StepDone
from tests.challenges.lumbar.training.random_crops import EXPERIMENT, Data

PROBABILITIES = ["normal_mild", "moderate", "severe"]


@pytest.mark.usefixtures("same_process")
def test_fold_writes_model_history_and_all_rows_of_its_studies(data: Data, tmp_path: Path) -> None:
    lines: list[Event] = []
    data.train(tmp_path, on_event=lines.append)
    oof = pl.read_parquet(tmp_path / "oof.parquet")
    declared = pl.Schema(OutOfFold)
    assert all(declared[name] == dtype for name, dtype in oof.schema.items())
    assert sorted(oof["study_id"].unique()) == [100, 102, 104, 106]
    assert oof["row_id"].n_unique() == len(oof) == 4 * 25
    assert oof.filter(study_id=100)["label"].null_count() == 25
    assert oof["label"].null_count() == 25
    assert np.allclose(oof.select(pl.sum_horizontal(PROBABILITIES)).to_numpy(), 1)
    assert set(oof["fold"]) == {0}

    history = pl.read_parquet(tmp_path / "history.parquet")
    assert history["epoch"].to_list() == [1, 2]
    told = [event.score for event in lines if isinstance(event, EpochDone)]
    assert told == history["score"].to_list()
    steps = pl.read_parquet(tmp_path / "steps.parquet")
    assert steps.columns == ["epoch", "step", "loss", "learning_rate", "gradient_norm"]
    losses = [event.loss for event in lines if isinstance(event, StepDone)]
    assert steps["loss"].to_list() == losses
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1
    recorded = json.loads((tmp_path / "fit.json").read_text())
    assert (recorded["seed"], recorded["threads"], recorded["device"]) == (3, 1, "cpu")
    assert recorded["selected"] is False
    assert "torch" in recorded["versions"]
    assert not (tmp_path / "resume.pt").exists()


@pytest.mark.usefixtures("same_process")
def test_own_labels_of_a_fold_affect_neither_model_nor_predictions(
    data: Data, tmp_path: Path
) -> None:
    other = tmp_path / "other.parquet"
    held_out = pl.col("study_id").is_in([100, 102, 104, 106])
    pl.read_parquet(data.labels).with_columns(
        pl.when(held_out).then(2 - pl.col("grade")).otherwise("grade").cast(pl.Int8).alias("grade")
    ).write_parquet(other)
    data.train(tmp_path / "a")
    replace(data, labels=other).train(tmp_path / "b")
    weights = [(tmp_path / run / "model.safetensors").read_bytes() for run in "ab"]
    assert weights[0] == weights[1]
    one, two = (pl.read_parquet(tmp_path / run / "oof.parquet") for run in "ab")
    assert one.select(PROBABILITIES).equals(two.select(PROBABILITIES))
    assert not one["label"].equals(two["label"])


@pytest.mark.usefixtures("same_process")
def test_held_out_studies_are_predicted_and_affect_nothing_else(data: Data, tmp_path: Path) -> None:
    held_out = pl.col("study_id").is_in([103, 106])
    labels = pl.read_parquet(data.labels)
    without = replace(data, folds=tmp_path / "folds.parquet")
    pl.read_parquet(data.folds).filter(~held_out).write_parquet(without.folds)
    labels.filter(held_out).write_parquet(tmp_path / "holdout.parquet")
    without.train(tmp_path / "a", holdout=tmp_path / "holdout.parquet")
    found = pl.read_parquet(tmp_path / "a" / "holdout.parquet")
    assert sorted(found["study_id"].unique()) == [103, 106]
    assert found["row_id"].n_unique() == len(found) == 50
    for name in ("oof", "unlabelled"):
        table = pl.read_parquet(tmp_path / "a" / f"{name}.parquet")
        assert not set(table["study_id"]) & {103, 106}

    # Labels and pixels of held-out studies do not change the trained model.
    other = Data(tmp_path, tmp_path / "labels.parquet", without.folds)
    grade = pl.when(held_out).then(2 - pl.col("grade")).otherwise("grade").cast(pl.Int8)
    labels.with_columns(grade=grade).write_parquet(other.labels)
    samples = pl.read_parquet(data.root / "samples.parquet")
    samples.write_parquet(tmp_path / "samples.parquet")
    crops = np.load(data.root / "crops.npy")
    crops[samples.filter(held_out)["row"].to_numpy()] ^= 255
    np.save(tmp_path / "crops.npy", crops)
    other.train(tmp_path / "b", holdout=tmp_path / "holdout.parquet")
    for name in ("model.safetensors", "oof.parquet", "history.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert not pl.read_parquet(tmp_path / "b" / "holdout.parquet").equals(found)


def test_interrupted_training_resumes_to_the_same_bytes(
    data: Data, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, StepDone) and (event.epoch, event.step) == (1, 1):
            raise KeyboardInterrupt  # asks the child to stop, and ends its process group

    with pytest.raises(KeyboardInterrupt):
        data.train(tmp_path / "left", on_event=interrupt)
    assert (tmp_path / "left" / "resume.pt").exists()
    assert not (tmp_path / "left" / "model.safetensors").exists()

    request.getfixturevalue("same_process")
    data.train(tmp_path / "left")
    data.train(tmp_path / "whole")
    for name in ("model.safetensors", "oof.parquet", "steps.parquet", "history.parquet"):
        assert (tmp_path / "left" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    processes = json.loads((tmp_path / "left" / "fit.json").read_text())["processes"]
    first, second = [(process["from_epoch"], process["from_step"]) for process in processes]
    assert first == (1, 1)
    assert second > first


@pytest.mark.usefixtures("same_process")
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_fold_trains_on_a_cpu_in_reduced_precision(
    precision: str, data: Data, tmp_path: Path
) -> None:
    reduced = EXPERIMENT.training.model_copy(update={"precision": precision})
    data.train(tmp_path / "full")
    experiment = EXPERIMENT.model_copy(update={"training": reduced})
    data.train(tmp_path / "reduced", experiment=experiment)
    full, less = (
        pl.read_parquet(tmp_path / name / "steps.parquet") for name in ("full", "reduced")
    )
    assert np.allclose(full["loss"], less["loss"], atol=0.05)
    assert not full["loss"].equals(less["loss"])


@pytest.mark.usefixtures("same_process")
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_fold_is_predicted_in_the_precision_of_validation(
    precision: str, data: Data, tmp_path: Path
) -> None:
    reduced = EXPERIMENT.training.model_copy(update={"precision": precision, "keep": "metric"})
    experiment = EXPERIMENT.model_copy(update={"training": reduced})
    data.train(tmp_path, experiment=experiment)
    oof = pl.read_parquet(tmp_path / "oof.parquet")
    known = pl.read_parquet(data.labels).join(oof, on="study_id", how="semi")
    history = pl.read_parquet(tmp_path / "history.parquet")
    assert score(known, oof).score == history["score"].min()

    less, full = (
        data.predict([tmp_path], tmp_path / f"{each.training.precision}.parquet", experiment=each)
        for each in (experiment, EXPERIMENT)
    )
    one, other = (table.select(PROBABILITIES).to_numpy() for table in (less, full))
    assert np.allclose(one, other, atol=0.05)
    assert not np.allclose(one, other, atol=1e-7)


@pytest.mark.usefixtures("same_process")
def test_finished_fold_is_retrained_only_after_a_change(data: Data, tmp_path: Path) -> None:
    lines: list[Event] = []
    data.train(tmp_path)
    data.train(tmp_path, on_event=lines.append)
    assert not lines
    (tmp_path / "oof.parquet").write_bytes(b"torn")
    data.train(tmp_path, on_event=lines.append)
    assert len(pl.read_parquet(tmp_path / "oof.parquet")) == 100
    changed = EXPERIMENT.training.model_copy(update={"learning_rate": 2e-3})
    lines.clear()
    data.train(
        tmp_path,
        experiment=EXPERIMENT.model_copy(update={"training": changed}),
        on_event=lines.append,
    )
    assert lines


@pytest.mark.usefixtures("same_process")
def test_checkpoint_chosen_on_the_fold_is_marked_selected(data: Data, tmp_path: Path) -> None:
    best = EXPERIMENT.training.model_copy(update={"keep": "metric"})
    data.train(tmp_path, experiment=EXPERIMENT.model_copy(update={"training": best}))
    assert json.loads((tmp_path / "fit.json").read_text())["selected"] is True


@pytest.mark.usefixtures("same_process")
def test_test_split_is_predicted_by_the_mean_of_the_models(data: Data, tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    data.train(folders[0])
    other = EXPERIMENT.training.model_copy(update={"learning_rate": 5e-3})
    data.train(folders[1], experiment=EXPERIMENT.model_copy(update={"training": other}))
    alone = [data.predict([folder], folder / "test.parquet") for folder in folders]
    both = data.predict(folders, tmp_path / "test.parquet")
    assert len(both) == 9 * 5  # two test studies, with one level missing
    assert both["row_id"][0] == "108_spinal_canal_stenosis_l1_l2"
    mean = sum(table.select(PROBABILITIES).to_numpy() for table in alone) / 2
    assert np.allclose(both.select(PROBABILITIES).to_numpy(), mean)
    assert not np.allclose(alone[0].select(PROBABILITIES).to_numpy(), mean)


@pytest.mark.usefixtures("same_process")
def test_damaged_weights_are_refused(data: Data, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(
        StageError, match=r"model.safetensors: these weights do not fit the model of small"
    ):
        data.predict([tmp_path], tmp_path / "test.parquet")


@pytest.mark.usefixtures("same_process")
def test_fold_without_samples_is_refused(data: Data, tmp_path: Path) -> None:
    folds = tmp_path / "folds.parquet"
    pl.read_parquet(data.folds).with_columns(fold=pl.lit(1, dtype=pl.Int32)).write_parquet(folds)
    with pytest.raises(StageError, match="fold 0: 0 samples to predict and 40 to train on"):
        replace(data, folds=folds).train(tmp_path / "out")


@pytest.mark.usefixtures("same_process")
def test_missing_device_is_refused(data: Data, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="device: 'cuda:7' cannot be used here"):
        data.train(tmp_path / "out", device="cuda:7")
