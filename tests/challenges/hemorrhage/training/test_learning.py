"""What the models learn from planted labels: a blob, the slice before, and nothing from chance."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.hemorrhage.config.experiment import Experiment
from lsdc.challenges.hemorrhage.scoring.metric import score_arrays
from lsdc.challenges.hemorrhage.scoring.prior import out_of_fold_prior
from lsdc.challenges.hemorrhage.training.occlusion import map_occlusion
from lsdc.training.explanation import CELLS
from tests.challenges.hemorrhage.training.planted import NAMES, Data, plant, small

pytestmark = [pytest.mark.slow_training, pytest.mark.usefixtures("same_process")]

LEARNING = [
    "model.width=32",
    "training.epochs=12",
    "sequence.width=32",
    "sequence.epochs=40",
    "sequence.batch_size=4",
    "sequence.learning_rate=5e-3",
]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """Return 25 studies of 12 slices."""
    return plant(tmp_path_factory.mktemp("many"), studies=25, slices=12)


def losses(oof: pl.DataFrame) -> dict[str, float]:
    """Return the log loss of each label, and the score."""
    labels = oof.select(f"label_{name}" for name in NAMES).to_numpy()
    return score_arrays(labels, oof.select(NAMES).to_numpy()).as_dict()


def prior(data: Data, oof: pl.DataFrame) -> dict[str, float]:
    """Return the same of the other folds' shares."""
    shares = out_of_fold_prior(pl.read_parquet(data.labels), pl.read_parquet(data.folds))
    known = oof.drop(NAMES).join(shares, on="image_id", maintain_order="left")
    return losses(known)


def learning(*settings: str) -> Experiment:
    return small(*LEARNING, *settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fold")


def test_the_slice_model_learns_the_blob_and_not_what_the_slice_does_not_show(
    many: Data, folder: Path
) -> None:
    oof = many.train(folder, experiment=learning())
    found, chance = losses(oof), prior(many, oof)
    assert found["subdural"] < 0.2 * chance["subdural"]
    assert found["epidural"] > 0.8 * chance["epidural"]
    assert found["score"] < chance["score"]


def test_maps_of_the_slice_model_peak_at_the_blob(many: Data, folder: Path) -> None:
    experiment = learning()
    oof = many.train(folder, experiment=experiment)  # done, unless this test runs alone
    rows = pl.read_parquet(many.root / "slices.parquet").join(oof, on="image_id")
    sure = rows.filter(pl.col("label_subdural") == 1, pl.col("subdural") > 0.9)["row"].to_list()
    assert len(sure) > 5
    found = map_occlusion(
        experiment, {folder: sure}, slices=many.root, log=folder / "child.log", device="cpu"
    )
    assert {*found} == {(folder, row) for row in sure}
    slices = np.load(many.root / "slices.npy")
    near, most = 0, []
    for (_, row), maps in found.items():
        assert maps.shape == (len(NAMES), CELLS, CELLS)
        moved = maps[NAMES.index("subdural")]
        peak = (np.array(np.unravel_index(moved.argmax(), moved.shape)) + 0.5) * 32 / CELLS
        blob = np.argwhere(slices[row, 0] > 170).mean(axis=0)
        near += int(np.abs(peak - blob).max() < 32 / CELLS + 2)
        most.append(moved.max())
    assert np.mean(most) > 0.3
    assert near > 0.8 * len(sure)


@pytest.mark.parametrize("kind", ["gru", "lstm", "stacking"])
def test_a_sequence_model_reads_the_label_off_the_slice_before(
    kind: str, many: Data, folder: Path
) -> None:
    many.train(folder, experiment=learning())  # done, unless this test runs alone
    before = losses(pl.read_parquet(folder / "oof.parquet"))
    oof = many.train_sequence(folder, experiment=learning(f"sequence.kind={kind}"))
    found = losses(oof)
    assert found["epidural"] < 0.4 * before["epidural"]
    assert found["any"] < 0.6 * before["any"]
    assert found["score"] < 0.7 * before["score"]


def test_shuffled_labels_are_predicted_no_better_than_by_the_prior(
    many: Data, tmp_path: Path
) -> None:
    labels = pl.read_parquet(many.labels)
    order = np.random.default_rng(1).permutation(len(labels))
    shuffled = labels.select("image_id").hstack(labels.select(NAMES)[order])
    shuffled.write_parquet(tmp_path / "labels.parquet")
    chance = replace(many, labels_file=tmp_path / "labels.parquet")
    experiment = learning("training.epochs=3", "sequence.epochs=5")
    slices = chance.train(tmp_path / "fold", experiment=experiment)
    sequence = chance.train_sequence(tmp_path / "fold", experiment=experiment)
    for oof in (slices, sequence):
        assert losses(oof)["score"] > prior(chance, oof)["score"] - 0.01
