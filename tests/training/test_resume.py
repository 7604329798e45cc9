"""After SIGKILL, SIGTERM or a full disk, a resumed training is bit-identical."""

import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lsdc.errors import NoSpaceError, ResumeLaterError
from lsdc.training.augment import PixelAugmentation
from lsdc.training.checkpoint import load_progress, save_weights
from lsdc.training.events import Event, Paused, Predicting, Resumed, StepDone
from lsdc.training.inference import predict_logits
from lsdc.training.interrupts import catch_sigterm
from lsdc.training.mixing import Mixing
from lsdc.training.process import OnEvent
from lsdc.training.samples import Augment, Samples
from lsdc.training.settings.augment import MixSettings, PixelSettings
from tests.training.runs import (
    SETTINGS,
    SmallModel,
    altered,
    build_model,
    jitter,
    run,
    same_weights,
)

pytestmark = [
    pytest.mark.forks,
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(sys.platform != "linux", reason="forks a process that has loaded torch"),
]

# Everything that has state or draws random numbers, with checkpoints within epochs.
EVERYTHING = altered(
    SETTINGS,
    epochs=3,
    batch_size=3,
    accumulate=2,
    ema_decay=0.9,
    max_norm=1.0,
    freeze_epochs=1,
    keep="both",
    checkpoint_steps=2,
)
MIX = Mixing(MixSettings(mixup=0.5, mixup_alpha=0.4, cutmix=0.3, cutmix_alpha=1.0), classes=3)
PIXELS = PixelAugmentation(
    PixelSettings(
        shift_scale_rotate=0.5,
        brightness_contrast=0.5,
        blur=0.5,
        noise=0.5,
        distortion=0.5,
        cutout=0.5,
    )
)


def score(probabilities: NDArray[np.float64]) -> float:
    return float(np.abs(probabilities - 0.4).mean())


def train_whole(samples: Samples, folder: Path, workers: int, augment: Augment) -> None:
    """Train, and write the weights and the predictions to the folder."""
    model = build_model()
    run(
        model,
        samples,
        folder,
        settings=EVERYTHING,
        augment=augment,
        score=score,
        mix=MIX,
        workers=workers,
    )
    found = predict_logits(model, samples, batch_size=5, device=torch.device("cpu"))
    np.save(folder / "predictions.npy", found)
    save_weights(folder / "model.safetensors", model.state_dict())


def results(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in ("model.safetensors", "predictions.npy")]


def beginnings(folder: Path) -> set[tuple[int, int]]:
    """Return the first epoch and step of each process whose work was kept."""
    processes = load_progress(folder / "resume.pt", "test").processes
    return {(process["from_epoch"], process["from_step"]) for process in processes}


class Fork:
    """A training in a separate process group, as `run_child` starts it."""

    def __init__(self, *arguments: Any) -> None:
        self._process = multiprocessing.get_context("fork").Process(
            target=self._lead_group, args=arguments
        )
        self._process.start()

    @staticmethod
    def _lead_group(*arguments: Any) -> None:
        os.setsid()
        train_whole(*arguments)

    def kill_after(self, seconds: float) -> bool:
        """Kill it after so many seconds; return whether it was still running."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            self._process.kill()
            with suppress(ProcessLookupError):  # it may not lead its group yet
                os.killpg(self._process.pid or 0, signal.SIGKILL)
            self._process.join()
        return self._process.exitcode == -signal.SIGKILL

    def end(self) -> None:
        self._process.join(120)
        assert self._process.exitcode == 0


def kill_often(
    samples: Samples, folder: Path, workers: int, augment: Augment, *, kills: int, seconds: float
) -> None:
    """Kill a training at random moments within so many seconds of its start, then let it end.

    It is killed once more than asked for as long as it has nothing to go on from.
    """
    moments = random.Random(kills)
    while kills > 0 or not (folder / "resume.pt").exists():
        if Fork(samples, folder, workers, augment).kill_after(moments.uniform(0, seconds)):
            kills -= 1
        else:  # it had ended already
            shutil.rmtree(folder)
    Fork(samples, folder, workers, augment).end()


@pytest.mark.parametrize(("workers", "augment"), [(1, jitter), (2, PIXELS)])
def test_training_killed_three_times_has_the_same_result(
    workers: int, augment: Augment, blobs: Samples, tmp_path: Path
) -> None:
    began = time.monotonic()
    train_whole(blobs, tmp_path / "whole", workers, augment)
    seconds = time.monotonic() - began
    kill_often(blobs, tmp_path / "killed", workers, augment, kills=3, seconds=seconds)
    assert results(tmp_path / "killed") == results(tmp_path / "whole")
    assert beginnings(tmp_path / "killed") > {(1, 1)}  # else it has only started again


@pytest.mark.slow_training
@pytest.mark.parametrize(("workers", "augment"), [(0, PIXELS), (1, jitter), (2, PIXELS)])
def test_training_killed_twenty_times_has_the_same_result(
    workers: int, augment: Augment, blobs: Samples, tmp_path: Path
) -> None:
    began = time.monotonic()
    train_whole(blobs, tmp_path / "whole", workers, augment)
    seconds = time.monotonic() - began
    went_on = set()
    for number in range(5):
        folder = tmp_path / str(number)
        kill_often(blobs, folder, workers, augment, kills=4, seconds=seconds)
        assert results(folder) == results(tmp_path / "whole")
        went_on |= beginnings(folder)
    assert any(step > 1 for _, step in went_on)  # not only from the start of epochs


@pytest.fixture(scope="module")
def whole(one_thread: None, blobs: Samples, tmp_path_factory: pytest.TempPathFactory) -> SmallModel:
    """Return a model that was trained without interruption."""
    model = build_model()
    run(model, blobs, tmp_path_factory.mktemp("whole"), settings=EVERYTHING, score=score, mix=MIX)
    return model


def at(epoch: int, step: int | None, do: Callable[[], None]) -> OnEvent:
    """Return a listener that calls `do` at a step, or when validation begins."""

    def listen(event: Event) -> None:
        step_of = event.step if isinstance(event, StepDone) else None
        if isinstance(event, StepDone | Predicting) and (event.epoch, step_of) == (epoch, step):
            do()

    return listen


def leave(samples: Samples, folder: Path, on_event: OnEvent, workers: int = 0) -> None:
    """Train until SIGTERM."""
    with catch_sigterm() as stop_requested, pytest.raises(ResumeLaterError, match="SIGTERM"):
        run(
            build_model(),
            samples,
            folder,
            settings=EVERYTHING,
            score=score,
            mix=MIX,
            workers=workers,
            on_event=on_event,
            stop_requested=stop_requested,
        )


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("place", [(1, 1), (2, 3), (3, None)], ids=str)
def test_sigterm_saves_a_checkpoint_at_once_at_any_step(
    place: tuple[int, int | None], blobs: Samples, tmp_path: Path, whole: SmallModel
) -> None:
    leave(blobs, tmp_path / "left", at(*place, terminate))
    model = build_model()
    told: list[Event] = []
    run(
        model,
        blobs,
        tmp_path / "left",
        settings=EVERYTHING,
        score=score,
        mix=MIX,
        on_event=told.append,
    )
    epoch, step = place
    past = [row["epoch"] for event in told if isinstance(event, Resumed) for row in event.past]
    assert past == list(range(1, epoch))
    first = next((event for event in told if isinstance(event, StepDone)), None)
    begins = (epoch, step + 1) if step else None  # no step is done twice
    assert begins == (first and (first.epoch, first.step))
    assert same_weights(model, whole)


def test_resumed_training_may_have_another_number_of_workers(
    blobs: Samples, tmp_path: Path, whole: SmallModel
) -> None:
    leave(blobs, tmp_path / "left", at(1, 3, terminate), workers=2)
    leave(blobs, tmp_path / "left", at(3, 2, terminate), workers=0)
    model = build_model()
    run(model, blobs, tmp_path / "left", settings=EVERYTHING, score=score, mix=MIX, workers=1)
    assert same_weights(model, whole)


@pytest.mark.parametrize(
    ("changes", "head"),
    [
        ({"optimiser": "radam", "flat": 0.5}, 1),
        ({"schedule": "one_cycle"}, 1),
        ({"precision": "float16", "ema_decay": None}, 1),
        ({"precision": "float16"}, 100),  # its first gradients overflow
    ],
    ids=str,
)
def test_every_part_of_the_training_resumes_with_its_state(
    changes: dict[str, Any], head: int, blobs: Samples, tmp_path: Path
) -> None:
    settings = altered(EVERYTHING, **changes)

    def build() -> SmallModel:
        model = build_model()
        with torch.no_grad():
            model.head.weight.mul_(head)
        return model

    one, other = build(), build()
    whole = run(one, blobs, tmp_path / "whole", settings=settings)
    requests: list[int] = []
    with pytest.raises(ResumeLaterError):
        run(
            build(),
            blobs,
            tmp_path / "left",
            settings=settings,
            on_event=at(2, 3, lambda: requests.append(1)),
            stop_requested=lambda: bool(requests),
        )
    resumed = run(other, blobs, tmp_path / "left", settings=settings)
    assert same_weights(one, other)
    np.testing.assert_equal([resumed.steps, resumed.epochs], [whole.steps, whole.epochs])
    skipped = [np.isfinite(row["gradient_norm"]) for row in whole.steps].count(False)
    assert (skipped > 2) == (head > 1)


def test_full_disk_keeps_the_last_good_checkpoint(
    blobs: Samples, tmp_path: Path, whole: SmallModel
) -> None:
    folder = tmp_path / "full"
    leave(blobs, folder, at(2, 1, terminate))
    checkpoint = (folder / "resume.pt").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(checkpoint) // 2, limits[1]))
    try:
        with pytest.raises(NoSpaceError, match=r"no space .* epoch 1, step 2; the previous one is"):
            run(build_model(), blobs, folder, settings=EVERYTHING, score=score, mix=MIX)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (folder / "resume.pt").read_bytes() == checkpoint
    assert not list(folder.glob(".writing-*"))
    model = build_model()
    run(model, blobs, folder, settings=EVERYTHING, score=score, mix=MIX)
    assert same_weights(model, whole)


@pytest.mark.parametrize("place", ["run/fold", "run"])
def test_training_waits_while_a_pause_file_exists(
    place: str, blobs: Samples, tmp_path: Path, whole: SmallModel
) -> None:
    folder, pause = tmp_path / "run" / "fold", tmp_path / place / "pause"
    folder.mkdir(parents=True)
    pauses: list[str] = []

    def listen(event: Event) -> None:
        at(2, 3, pause.touch)(event)
        if isinstance(event, Paused):
            pauses.append(event.by)
            saved = load_progress(folder / "resume.pt", "test")
            assert (saved.epoch, saved.step) == (1, 3)
            pause.unlink()

    model = build_model()
    run(model, blobs, folder, settings=EVERYTHING, score=score, mix=MIX, on_event=listen)
    assert pauses == [str(pause)]
    assert same_weights(model, whole)
