"""Training of a fold's slice model: its results, its training data, and when it is repeated."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.hemorrhage.scoring.metric import score
from lsdc.challenges.hemorrhage.scoring.oof import HeldOut, OutOfFold
from lsdc.challenges.hemorrhage.training.samples import read_slices
from lsdc.errors import StageError
from lsdc.training.events import EpochDone, Event, StepDone
from tests.challenges.hemorrhage.training.planted import EXPERIMENT, NAMES, Data, small

ALONE = small("sequence.kind=none")
WRITTEN = ("model.safetensors", "vectors.npy", "oof.parquet", "steps.parquet", "history.parquet")


def held_out_changed(data: Data, folder: Path) -> Data:
    """Return the data with the labels of fold 0 and of the holdout turned around."""
    own = pl.read_parquet(data.folds).filter(pl.col("fold") != 0)["image_id"].to_list()
    turned = [
        pl.when(pl.col("image_id").is_in(own)).then(name).otherwise(1 - pl.col(name)).alias(name)
        for name in NAMES
    ]
    files = [folder / "turned.parquet", folder / "turned_holdout.parquet"]
    for before, after in zip((data.labels, data.holdout), files, strict=True):
        pl.read_parquet(before).with_columns(turned).write_parquet(after)
    return replace(data, labels_file=files[0], holdout_file=files[1])


@pytest.mark.usefixtures("same_process")
def test_fold_writes_model_history_vectors_and_all_slices_of_its_fold(
    data: Data, tmp_path: Path
) -> None:
    lines: list[Event] = []
    oof = data.train(tmp_path, on_event=lines.append)
    assert oof.schema == pl.Schema(OutOfFold)
    OutOfFold.check(oof)
    held_out = pl.read_parquet(tmp_path / "holdout.parquet")
    assert held_out.schema == pl.Schema(HeldOut)
    HeldOut.check(held_out)
    folds = pl.read_parquet(data.folds)
    assert set(oof["image_id"]) == set(folds.filter(fold=0)["image_id"])
    assert oof["image_id"].n_unique() == len(oof) == 24
    assert set(oof["fold"]) == {0}
    labels = oof.join(pl.read_parquet(data.labels), on="image_id", maintain_order="left")
    for name in NAMES:
        assert oof[f"label_{name}"].equals(labels[f"{name}_right"])
        assert oof[name].is_between(0, 1).all()

    history = pl.read_parquet(tmp_path / "history.parquet")
    assert history["epoch"].to_list() == [1, 2]
    told = [event for event in lines if isinstance(event, EpochDone)]
    assert [event.score for event in told] == history["score"].to_list()
    truth = pl.read_parquet(data.labels).join(oof, on="image_id", how="semi")
    assert score(truth, oof).score == pytest.approx(told[-1].score, rel=1e-9)
    # The loss is the metric, but for float32.
    assert told[-1].validation_loss == pytest.approx(told[-1].score, rel=1e-5)
    steps = pl.read_parquet(tmp_path / "steps.parquet")
    losses = [event.loss for event in lines if isinstance(event, StepDone)]
    assert steps["loss"].to_list() == losses

    vectors = np.load(tmp_path / "vectors.npy")
    assert vectors.shape == (60, 8 + 6 + 2)
    rows = read_slices(data.root).join(oof, on="image_id")["row"].to_numpy()
    shares = 1 / (1 + np.exp(-vectors[rows, 8:14].astype(float)))
    assert np.allclose(shares, oof.select(NAMES).to_numpy(), atol=1e-6)
    recorded = json.loads((tmp_path / "fit.json").read_text())
    assert (recorded["seed"], recorded["slices"], recorded["trained_on"]) == (3, 30, 25)
    assert not (tmp_path / "resume.pt").exists()


@pytest.mark.usefixtures("same_process")
def test_own_labels_of_a_fold_and_of_the_holdout_affect_nothing_that_is_predicted(
    data: Data, tmp_path: Path
) -> None:
    one = data.train(tmp_path / "a")
    two = held_out_changed(data, tmp_path).train(tmp_path / "b")
    for name in ("model.safetensors", "vectors.npy", "steps.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert one.select(NAMES).equals(two.select(NAMES))
    assert not one["label_any"].equals(two["label_any"])
    held = [pl.read_parquet(tmp_path / run / "holdout.parquet") for run in "ab"]
    assert held[0].select(NAMES).equals(held[1].select(NAMES))
    assert not held[0]["label_any"].equals(held[1]["label_any"])
    assert (len(held[0]), held[0]["label_any"].null_count()) == (6, 0)
    assert "fold" not in held[0].columns


@pytest.mark.slow_training
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
    for name in WRITTEN:
        assert (tmp_path / "left" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    processes = json.loads((tmp_path / "left" / "fit.json").read_text())["processes"]
    assert len(processes) == 2


@pytest.mark.usefixtures("same_process")
def test_finished_fold_is_repeated_only_after_a_change(data: Data, tmp_path: Path) -> None:
    lines: list[Event] = []
    first = data.train(tmp_path, experiment=ALONE)
    assert not (tmp_path / "vectors.npy").exists()
    data.train(tmp_path, experiment=ALONE, on_event=lines.append)
    assert not lines
    (tmp_path / "oof.parquet").write_bytes(b"torn")
    assert data.train(tmp_path, experiment=ALONE, on_event=lines.append).equals(first)
    assert not any(isinstance(event, StepDone) for event in lines)
    changed = ALONE.training.model_copy(update={"learning_rate": 1e-3})
    experiment = ALONE.model_copy(update={"training": changed})
    data.train(tmp_path, experiment=experiment, on_event=lines.append)
    assert any(isinstance(event, StepDone) for event in lines)


@pytest.mark.usefixtures("same_process")
def test_training_starts_from_the_weights_of_the_same_folds(data: Data, tmp_path: Path) -> None:
    data.train(tmp_path / "first", experiment=ALONE)
    later = ALONE.model_copy(
        update={"training": ALONE.training.model_copy(update={"epochs": 1, "warmup": 0.0})}
    )
    start = tmp_path / "first" / "model.safetensors"
    began, anew = (
        data.train(tmp_path / name, experiment=later, start_from=given)
        for name, given in (("later", start), ("anew", None))
    )
    assert not began.select(NAMES).equals(anew.select(NAMES))
    folds = tmp_path / "folds.parquet"
    pl.read_parquet(data.folds).with_columns(fold=2 - pl.col("fold")).write_parquet(folds)
    with pytest.raises(StageError, match="trained on another split"):
        replace(data, folds_file=folds).train(tmp_path / "other", start_from=start)


@pytest.mark.usefixtures("same_process")
@pytest.mark.parametrize(
    "settings",
    [
        ["augment.mixup=1.0", "augment.horizontal_flip=1", "augment.vertical_flip=1"],
        ["sampling.slices_a_study=2", "sampling.middle=2.0", "training.optimiser=ranger"],
        ["training.batch_by=study", "training.batch_size=2", "model.neighbours=[-1, 0, 1]"],
        ["loss.positive_weights=[1,1,1,1,1,2]", "loss.label_smoothing=0.1"],
        ["training.schedule=one_cycle", "training.freeze_epochs=1", "augment.cutmix=1.0"],
    ],
    ids=lambda settings: settings[0].partition("=")[0],
)
def test_fold_trains_with_other_settings(settings: list[str], data: Data, tmp_path: Path) -> None:
    experiment = small("training.epochs=1", *settings)
    oof = data.train(tmp_path, experiment=experiment)
    assert oof.select(NAMES).null_count().row(0) == (0,) * 6
    assert pl.read_parquet(tmp_path / "steps.parquet")["loss"].is_finite().all()


@pytest.mark.usefixtures("same_process")
def test_a_study_by_study_epoch_shows_each_study_as_often(data: Data, tmp_path: Path) -> None:
    experiment = small("sampling.slices_a_study=2", "training.batch_size=5")
    data.train(tmp_path, experiment=experiment)
    steps = pl.read_parquet(tmp_path / "steps.parquet")
    assert steps.group_by("epoch").len()["len"].to_list() == [2, 2]  # 5 studies x 2, in fives
    assert EXPERIMENT.sampling.slices_a_study is None
