"""The training loop, from first step to last, in the order in which it happens."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from timm.scheduler import CosineLRScheduler

from lsdc.errors import StageError
from lsdc.training.checkpoint import Progress, load_progress, save_progress
from lsdc.training.inference import predict_probabilities
from lsdc.training.losses import weighted_cross_entropy
from lsdc.training.model import SliceSequenceModel
from lsdc.training.process import Tell
from lsdc.training.samples import Augment, Samples, TrainingBatches, step_seed

Score = Callable[[NDArray[np.float64]], float]
"""From probabilities (n, heads, classes) of the validation samples to a score, lower is better."""


@dataclass(frozen=True)
class TrainingSettings:
    """How a model is trained; `warmup` is a share of all steps, `class_weights` those of the loss.

    `keep="best"` keeps the epoch with the best validation score: a choice made on that very fold.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup: float
    class_weights: tuple[float, ...]
    precision: Literal["float32", "bfloat16"]
    keep: Literal["last", "best"]


def train(
    model: SliceSequenceModel,
    training: Samples,
    validation: Samples,
    settings: TrainingSettings,
    *,
    augment: Augment,
    score: Score,
    seed: int,
    device: torch.device,
    workers: int,
    resume: Path,
    identity: str,
    environment: dict[str, Any],
    tell: Tell,
) -> Progress:
    """Train `model` in place; it ends with the weights that are kept.

    After each epoch all is saved in `resume`. Called again with the same `identity` (which names
    the data, the settings and the code) it goes on from there, to the same bits on one CPU type,
    torch build and number of threads; `environment` says which these are, and is recorded beside
    the epoch from which they held. Data are loaded in `workers` processes; the result does not
    depend on their number. `tell` is told of each step and each epoch.

    Raises:
        StageError: the loss is not finite; names the samples.
    """
    precision = getattr(torch, settings.precision)
    model.to(device)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    batches = TrainingBatches(
        training, augment, batch_size=settings.batch_size, seed=seed, workers=workers
    )
    steps = len(batches)
    schedule = _warmup_and_cosine(optimiser, settings, steps)
    class_weights = torch.tensor(settings.class_weights, device=device)

    progress = load_progress(resume, identity)
    if progress.epoch:
        model.load_state_dict(progress.model)
        optimiser.load_state_dict(progress.optimiser)
    if progress.epoch < settings.epochs:
        progress.processes.append({"from_epoch": progress.epoch + 1, **environment})
    clock = _Clock(progress.epoch * steps, settings.epochs * steps)

    for epoch in range(progress.epoch + 1, settings.epochs + 1):
        model.train()
        losses = []
        for step, batch in enumerate(batches.of_epoch(epoch), start=1):
            torch.manual_seed(step_seed(seed, epoch, step))
            schedule.step_update((epoch - 1) * steps + step - 1)
            with torch.autocast(device.type, precision, enabled=precision != torch.float32):
                logits = model(batch.slices.to(device), batch.present.to(device))
            loss = weighted_cross_entropy(logits.float(), batch.labels.to(device), class_weights)
            losses.append(loss.item())
            if not math.isfinite(losses[-1]):
                raise _not_finite(losses[-1], epoch, step, [training.ids[i] for i in batch.places])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            tell(
                {"epoch": epoch, "epochs": settings.epochs, "step": step, "steps": steps}
                | {"loss": losses[-1], "seconds_left": clock.seconds_left()}
            )

        position = {"epoch": epoch, "epochs": settings.epochs}
        probabilities = predict_probabilities(
            model,
            validation,
            batch_size=settings.batch_size,
            device=device,
            precision=precision,
            on_batch=lambda done, position=position: tell(  # type: ignore[misc]
                {**position, "validated": done}
            ),
        )
        value = score(probabilities)
        is_best = all(value < row["score"] for row in progress.history)
        progress.epoch = epoch
        progress.history.append({"epoch": epoch, "loss": float(np.mean(losses)), "score": value})
        progress.model = {name: tensor.cpu().clone() for name, tensor in model.state_dict().items()}
        progress.optimiser = optimiser.state_dict()
        if settings.keep == "best" and is_best:
            progress.best = progress.model
        save_progress(resume, progress, identity)
        tell({"epochs": settings.epochs, **progress.history[-1]})

    if settings.keep == "best":
        model.load_state_dict(progress.best)
    return progress


def _warmup_and_cosine(
    optimiser: torch.optim.Optimizer, settings: TrainingSettings, steps: int
) -> Any:
    """The learning rate as a function of the step alone, so that no state of it need be saved."""
    warmup = round(settings.warmup * settings.epochs * steps)
    return CosineLRScheduler(
        optimiser,
        t_initial=settings.epochs * steps - warmup,
        warmup_t=warmup,
        warmup_lr_init=settings.learning_rate / 100,
        warmup_prefix=True,
        t_in_epochs=False,
    )


class _Clock:
    """How long the rest will take, by what was done since the start of this process."""

    def __init__(self, done: int, total: int) -> None:
        self._started, self._first = time.monotonic(), done
        self._done, self._total = done, total

    def seconds_left(self) -> float:
        """To be asked once a step."""
        self._done += 1
        a_step = (time.monotonic() - self._started) / (self._done - self._first)
        return a_step * (self._total - self._done)


def _not_finite(loss: float, epoch: int, step: int, ids: list[str]) -> StageError:
    return StageError(
        f"training: the loss is {loss} in step {step} of epoch {epoch}, expected a finite number; "
        f"look at the samples {', '.join(ids)}, or lower training.learning_rate"
    )
