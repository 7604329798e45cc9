"""Trainings by several processes at once, and comparison of what they reach."""

import multiprocessing
import os
import signal
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from lsdc.training.device import pick_device
from lsdc.training.parallel.world import World, join_world
from lsdc.training.samples import Samples
from tests.training.runs import run

PATIENCE_SECONDS = 120

Build = Callable[[], nn.Module]


class Group:
    """Processes that each call a function with their `World`, and its results, by rank.

    They are forked, or on GPUs spawned, since CUDA does not work in forks.
    """

    def __init__(self, size: int, work: Callable[[World], Any], devices: Sequence[str]) -> None:
        context: Any = multiprocessing.get_context("fork" if "cpu" in devices else "spawn")
        folder = Path(tempfile.mkdtemp())
        pipes = [context.Pipe(duplex=False) for _ in range(size)]
        self._answers = [receive for receive, _ in pipes]
        self.processes = [
            context.Process(target=_join, args=(rank, size, folder / "meeting", device, work, send))
            for rank, (device, (_, send)) in enumerate(zip(devices, pipes, strict=True))
        ]
        for process in self.processes:
            process.start()
        for _, send in pipes:
            send.close()

    def results(self) -> list[Any]:
        """Wait until all have ended, and return their results."""
        try:
            return [self._result(rank) for rank in range(len(self.processes))]
        finally:
            self.end()

    def end(self) -> None:
        """End those that still run."""
        for process in self.processes:
            process.kill()
            process.join()

    def _result(self, rank: int) -> Any:
        assert self._answers[rank].poll(PATIENCE_SECONDS), f"process {rank} does not answer"
        kind, value = self._answers[rank].recv()
        assert kind == "done", value
        return value


def _join(
    rank: int,
    size: int,
    meeting: Path,
    device: str,
    work: Callable[[World], Any],
    answer: Any,
) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    try:
        with join_world(
            rank, size, meeting=meeting, device=pick_device(device), wait_minutes=2
        ) as world:
            answer.send(("done", work(world)))
    except BaseException:  # noqa: BLE001  # the test shows it
        answer.send(("failed", traceback.format_exc()))
    os._exit(0)


def together(
    size: int, work: Callable[[World], Any], devices: Sequence[str] | None = None
) -> list[Any]:
    """Return what the function returns in each of so many processes that train together."""
    return Group(size, work, devices or ["cpu"] * size).results()


class Trained(NamedTuple):
    """How far a training moved all weights (n,), and its rows by step and by epoch."""

    moved: NDArray[np.float64]
    steps: list[dict[str, float]]
    epochs: list[dict[str, float]]


def train(world: World, samples: Samples, folder: Path, model: Build, **options: Any) -> Trained:
    """Train a new model as one of the processes of a world."""
    own = model()
    before = _weights(own)
    progress = run(own, samples, folder, world=world, **options)
    return Trained(_weights(own) - before, progress.steps, progress.epochs)


def require_equal(one: Trained, other: Trained, rounding: float = 1e-3) -> None:
    """Require the same losses and gradients, and ten times less exactly the same weights.

    Some weights have no effect, as the bias of an attention's scores: their gradients are rounding
    alone, by which Adam moves them as far as any other.
    """
    for rows, others in ((one.steps, other.steps), (one.epochs, other.epochs)):
        for row, its_row in zip(rows, others, strict=True):
            assert its_row == pytest.approx(row, rel=rounding, nan_ok=True)
    off, moved = np.linalg.norm(one.moved - other.moved), np.linalg.norm(one.moved)
    assert off <= 10 * rounding * moved
    assert moved > 0


def _weights(model: nn.Module) -> NDArray[np.float64]:
    weights = torch.cat([weights.detach().flatten() for weights in model.parameters()])
    array: NDArray[np.float64] = weights.double().cpu().numpy()
    return array
