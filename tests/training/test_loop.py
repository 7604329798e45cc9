import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lsdc.errors import SettingsError, StageError
from lsdc.training.augment import PixelAugmentation, PixelProbabilities
from lsdc.training.checkpoint import Progress
from lsdc.training.loop import TrainingSettings, train
from lsdc.training.memory import advice_when_memory_runs_out
from lsdc.training.model import SliceSequenceModel
from lsdc.training.process import Tell, ignore
from lsdc.training.samples import Augment, Samples

pytestmark = pytest.mark.usefixtures("one_thread")
Build = Callable[[], SliceSequenceModel]

SETTINGS = TrainingSettings(
    epochs=3,
    batch_size=8,
    learning_rate=3e-3,
    weight_decay=1e-2,
    warmup=0.2,
    class_weights=(1.0, 2.0, 4.0),
    precision="float32",
    keep="last",
)
AUGMENT = PixelAugmentation(
    PixelProbabilities(
        shift_scale_rotate=0, brightness_contrast=0.5, blur=0.2, noise=0.5, distortion=0, cutout=0.5
    )
)


def run(
    model: SliceSequenceModel,
    samples: Samples,
    folder: Path,
    *,
    settings: TrainingSettings = SETTINGS,
    augment: Augment = AUGMENT,
    score: Callable[[NDArray[np.float64]], float] = lambda _: 1.0,
    tell: Tell = ignore,
) -> Progress:
    return train(
        model,
        samples,
        samples,
        settings,
        augment=augment,
        score=score,
        seed=5,
        device=torch.device("cpu"),
        workers=0,
        resume=folder / "resume.pt",
        identity="test",
        environment={"threads": 1},
        tell=tell,
    )


def same_weights(one: SliceSequenceModel, other: SliceSequenceModel) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.fixture
def uninterrupted(build: Build, blobs: Samples, tmp_path: Path) -> SliceSequenceModel:
    (tmp_path / "uninterrupted").mkdir()
    model = build()
    run(model, blobs, tmp_path / "uninterrupted")
    return model


def test_same_seed_same_weights(
    build: Build, blobs: Samples, tmp_path: Path, uninterrupted: SliceSequenceModel
) -> None:
    again = build()
    run(again, blobs, tmp_path)
    assert same_weights(again, uninterrupted)


@pytest.mark.skipif(sys.platform != "linux", reason="forks a process that has loaded torch")
def test_killed_and_started_again_gives_the_same_weights(
    build: Build, blobs: Samples, tmp_path: Path, uninterrupted: SliceSequenceModel
) -> None:
    def die_in_epoch_two(line: dict[str, Any]) -> None:
        if (line["epoch"], line.get("step")) == (2, 2):
            os.kill(os.getpid(), signal.SIGKILL)

    process = multiprocessing.get_context("fork").Process(
        target=run, args=(build(), blobs, tmp_path), kwargs={"tell": die_in_epoch_two}
    )
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL

    epochs: list[int] = []
    resumed = build()
    progress = run(resumed, blobs, tmp_path, tell=lambda line: epochs.append(line["epoch"]))
    assert set(epochs) == {2, 3}
    assert [process["from_epoch"] for process in progress.processes] == [1, 2]
    assert same_weights(resumed, uninterrupted)


def test_it_learns(build: Build, blobs: Samples, tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = []
    run(
        build(),
        blobs,
        tmp_path,
        settings=replace(SETTINGS, epochs=16, learning_rate=1e-2),
        augment=lambda sample, _: sample,
        score=lambda probabilities: float(
            -np.log(probabilities[np.arange(24), 1, blobs.labels[:, 1]]).mean()
        ),
        tell=lines.append,
    )
    scores = [line["score"] for line in lines if "score" in line]
    assert len(scores) == 16
    assert scores[-1] < 0.6 * np.log(3)
    steps = [line for line in lines if "step" in line]
    assert len(steps) == 48
    assert steps[-1]["seconds_left"] == 0


def test_best_epoch_is_kept_where_asked(build: Build, blobs: Samples, tmp_path: Path) -> None:
    scores = iter([0.5, 0.3, 0.4])
    model = build()
    best = replace(SETTINGS, keep="best")
    progress = run(model, blobs, tmp_path, settings=best, score=lambda _: next(scores))
    assert [row["score"] for row in progress.history] == [0.5, 0.3, 0.4]
    kept = model.state_dict()
    assert all(torch.equal(kept[name], tensor) for name, tensor in progress.best.items())
    assert not all(torch.equal(kept[name], tensor) for name, tensor in progress.model.items())


def test_loss_that_is_not_finite_names_the_samples(
    build: Build, blobs: Samples, tmp_path: Path
) -> None:
    model = build()
    with torch.no_grad():
        model.attention.weight.fill_(torch.nan)
    with pytest.raises(StageError, match=r"loss is nan in step 1 of epoch 1.*sample\d+, sample\d+"):
        run(model, blobs, tmp_path)


def test_memory_that_runs_out_names_the_batch_size_to_try() -> None:
    device = torch.device("cpu")
    with (
        pytest.raises(SettingsError, match=r"batch_size = 16 does not fit.*cpu; try .* = 8"),
        advice_when_memory_runs_out(16, device),
    ):
        torch.empty(1 << 55, dtype=torch.uint8)
    with (
        pytest.raises(SettingsError, match="try a smaller"),
        advice_when_memory_runs_out(1, device),
    ):
        torch.empty(1 << 55, dtype=torch.uint8)
