"""The queue: blocks of studies are predicted as all studies at once, to the bit."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from lsdc.challenges.lumbar.predict.models import TrainedModels
from lsdc.challenges.lumbar.predict.queue import SampleQueue
from lsdc.challenges.lumbar.training.network import build_model
from lsdc.challenges.lumbar.vocabulary import LEVELS
from lsdc.predict.workplace import Workplace
from lsdc.training.checkpoint import save_weights
from lsdc.training.process import ignore
from tests.challenges.lumbar.training.conftest import same_process
from tests.challenges.lumbar.training.random_crops import EXPERIMENT

__all__ = ["same_process"]  # a fixture of the tests of training

STUDIES = 7
SIDED = EXPERIMENT.model_copy(
    update={"crops": EXPERIMENT.crops.model_copy(update={"by_side": True})}
)


def write_crops(folder: Path, studies: range, *, sides: tuple[str | None, ...]) -> None:
    """Write the crops of some studies, as a block does."""
    folder.mkdir()
    rows = [(study, str(level), side) for study in studies for level in LEVELS for side in sides]
    rows = [row for row in rows if row[:2] != (2, "l1_l2")]  # a level outside all images
    crops = [
        np.random.default_rng([study, len(level), *map(ord, level)]).integers(
            0, 256, (3, 32, 32), dtype=np.uint8
        )
        for study, level, _ in rows
    ]
    np.save(folder / "crops.npy", np.array(crops))
    pl.DataFrame(
        {
            "row": pl.Series(range(len(rows)), dtype=pl.Int32),
            "split": ["test"] * len(rows),
            "study_id": [row[0] for row in rows],
            "level": [row[1] for row in rows],
            "side": pl.Series([row[2] for row in rows], dtype=pl.String),
            "mask": [[True, True, True]] * len(rows),
        }
    ).write_parquet(folder / "samples.parquet")


@pytest.fixture
def models(tmp_path: Path) -> TrainedModels:
    """Return two models with random weights."""
    folds = {}
    for fold in (0, 3):
        folds[fold] = tmp_path / f"fold-{fold}"
        folds[fold].mkdir()
        torch.manual_seed(fold)
        weights = build_model(EXPERIMENT, pretrained=False).state_dict()
        save_weights(folds[fold] / "model.safetensors", weights)
    return TrainedModels("small", EXPERIMENT, folds, tmp_path, pl.DataFrame())


def predicted_by_turns(models: TrainedModels, root: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Predict all studies in blocks of two, each by a new queue that takes up the last one's."""
    root.mkdir()
    blocks: list[Path] = []
    for first in range(0, STUDIES, 2):
        queue = SampleQueue(models, Workplace(root, root / "log", "cpu", 1, ignore))
        queue.restore(blocks)
        blocks.append(root / f"block-{first}")
        write_crops(blocks[-1], range(first, min(first + 2, STUDIES)), sides=(None,))
        queue.add(blocks[-1])
        queue.predict_whole()
        queue.save(blocks[-1])
    queue = SampleQueue(models, Workplace(root, root / "log", "cpu", 1, ignore))
    queue.restore(blocks)
    return queue.finish()


def predicted(
    models: TrainedModels, root: Path, size: int, *, sides: tuple[str | None, ...] = (None,)
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Predict all studies in blocks of a size."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    queue = SampleQueue(models, Workplace(root, root / "log", "cpu", 1, ignore))
    for first in range(0, STUDIES, size):
        block = root / f"block-{first}"
        write_crops(block, range(first, min(first + size, STUDIES)), sides=sides)
        queue.add(block)
        queue.predict_whole()
    return queue.finish()


@pytest.mark.usefixtures("same_process")
def test_predictions_do_not_depend_on_the_size_of_blocks(
    models: TrainedModels, tmp_path: Path
) -> None:
    mean, by_fold = predicted(models, tmp_path / "work", STUDIES)
    assert len(mean) == STUDIES * 25 - 5
    assert sorted(by_fold["fold"].unique()) == [0, 3]
    both = by_fold.group_by("row_id", maintain_order=True).agg(pl.col("severe").mean())
    assert both.sort("row_id").equals(mean.select("row_id", "severe").sort("row_id"))
    for size in (1, 3):
        again, _ = predicted(models, tmp_path / "work", size)
        assert again.equals(mean)


@pytest.mark.usefixtures("same_process")
def test_both_sides_of_a_level_stay_together(models: TrainedModels, tmp_path: Path) -> None:
    odd = SIDED.model_copy(update={"training": SIDED.training.model_copy(update={"batch_size": 3})})
    sided = TrainedModels("sided", odd, models.folds, tmp_path, pl.DataFrame())
    whole, _ = predicted(sided, tmp_path / "work", STUDIES, sides=("left", "right"))
    again, _ = predicted(sided, tmp_path / "work", 1, sides=("left", "right"))
    assert whole["row_id"].is_unique().all()
    assert again.equals(whole)


@pytest.mark.usefixtures("same_process")
def test_no_sample_gives_no_prediction(models: TrainedModels, tmp_path: Path) -> None:
    mean, by_fold = predicted(models, tmp_path / "work", 1, sides=())
    assert mean.is_empty()
    assert by_fold.is_empty()


@pytest.mark.usefixtures("same_process")
def test_a_queue_that_takes_up_saved_work_predicts_the_same(
    models: TrainedModels, tmp_path: Path
) -> None:
    whole = predicted(models, tmp_path / "whole", STUDIES)
    turns = predicted_by_turns(models, tmp_path / "turns")
    for one, other in zip(whole, turns, strict=True):
        assert one.sort(one.columns).equals(other.sort(other.columns))
