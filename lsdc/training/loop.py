"""The training loop."""

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from lsdc.errors import StageError
from lsdc.training.checkpoint import Progress, load_progress, save_progress
from lsdc.training.events import EpochDone, Predicting, Resumed, StepDone, Warned
from lsdc.training.inference import Probabilities, as_array, predict_logits
from lsdc.training.interrupts import IsToldToLeave, check_interrupts
from lsdc.training.lone import needs_company, norm_by_running_means
from lsdc.training.losses import GradedLoss
from lsdc.training.oom import advice_when_memory_runs_out
from lsdc.training.process import Tell
from lsdc.training.samples import Augment, Batch, Mix, Samples, TrainingSteps, mix_seed, step_seed
from lsdc.training.settings.training import Keep, TrainingSettings
from lsdc.training.tensorboard import Curves
from lsdc.training.train_state import Parts, build_parts

Floats = NDArray[np.float64]

Score = Callable[[Floats], float]
"""From probabilities (n, heads, classes) of the validation samples to a score, lower is better."""

_ALONE = (
    "norms of a batch in which a sample is alone go by their running means; take another "
    "training.batch_size, or a model.backbone without batch norms, if that is not wanted"
)
_TINY = float(np.finfo(np.float32).tiny)  # avoids division by 0 where no label has any weight


def train(
    model: nn.Module,
    training: Samples,
    validation: Samples,
    settings: TrainingSettings,
    *,
    augment: Augment,
    mix: Mix,
    criterion: GradedLoss,
    probabilities: Probabilities,
    score: Score,
    seed: int,
    device: torch.device,
    workers: int,
    folder: Path,
    identity: str,
    environment: dict[str, Any],
    tell: Tell,
    pauses: Sequence[Path] = (),
    is_told_to_leave: IsToldToLeave = lambda: False,
) -> Progress:
    """Train `model` in place; it ends with the weights that are kept.

    The checkpoint resume.pt is written to `folder` every `settings.checkpoint_steps` steps and
    after each epoch, besides TensorBoard's curves. A call with the same `identity` (which names
    data, settings and code) resumes from it, bit for bit on the same CPU type, torch build and
    number of threads, which `environment` describes. The environment is recorded with its first
    step; `tell` gets a warning if it changed, or if the checkpoint cannot be read. `workers`
    processes load the data; the result does not depend on their number. While one of the files
    `pauses` exists, the training waits. `tell` gets an event for each step and epoch, counted from
    1, and on resuming first one with the past epochs.

    The model maps slices (b, s, h, w) and present (b, s) to logits (b, heads, classes); its
    submodules named `backbone` can be frozen.

    Raises:
        StageError: the loss or gradient is not finite (in float16: repeatedly); names the samples.
        SettingsError: memory ran out; names the batch size that fits.
        NoSpaceError: a checkpoint does not fit on the disk; the previous one is kept.
        ResumeLaterError: SIGTERM was received, and a checkpoint saved.
    """
    precision = getattr(torch, settings.precision)
    model.to(device)
    steps_of = TrainingSteps(
        training,
        augment,
        batch_size=settings.batch_size,
        accumulate=settings.accumulate,
        seed=seed,
        workers=workers,
        together=needs_company(model, training, settings.batch_size, device),
    )
    steps, epochs = len(steps_of), settings.epochs
    parts = build_parts(model, settings, epochs * steps, device)
    norm_by_running_means(model, say=partial(tell, Warned(text=_ALONE)))
    progress = load_progress(folder / "resume.pt", identity, tell)
    parts.load(progress.states)
    if progress.epoch < epochs:
        _note_process(progress, environment, tell)
    if progress.epochs:
        tell(Resumed(past=tuple(progress.epochs)))
    curves = Curves(folder / "tensorboard", steps, rows=[*progress.steps, *progress.epochs])
    clock = _Clock(progress.epoch * steps + progress.step, epochs * steps)

    def backward(batch: Batch, shares: Tensor) -> Floats:
        """Add the gradients of the loss terms times `shares` (terms,); return these losses."""
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            logits = model(batch.slices, batch.present)
        terms = criterion.terms(logits.float(), batch.labels) * shares
        parts.scaler.scale(terms.sum()).backward()  # type: ignore[no-untyped-call]
        return as_array(terms.detach())

    def evaluate(epoch: int) -> dict[str, float]:
        """Return loss and score of the validation samples."""

        def on_batch(_: int) -> None:
            tell(Predicting(epoch=epoch, epochs=epochs))
            heed_orders()

        logits = predict_logits(
            parts.judged,
            validation,
            batch_size=settings.batch_size,
            device=device,
            precision=precision,
            on_batch=on_batch,
        )
        labels = torch.tensor(validation.labels, device=device)
        return {
            "validation_loss": criterion(logits, labels).item(),
            "score": score(as_array(probabilities(logits.double()))),
        }

    def save() -> None:
        progress.states = parts.states()
        save_progress(folder / "resume.pt", progress, identity)
        curves.flush()

    def heed_orders() -> None:
        check_interrupts(pauses, is_told_to_leave, save=save, tell=tell)

    for epoch in range(progress.epoch + 1, epochs + 1):
        model.train()
        _freeze(model, frozen=epoch <= settings.freeze_epochs)
        if not progress.step:
            progress.losses = []
        for step, batches in enumerate(steps_of.of_epoch(epoch, progress.step), progress.step + 1):
            torch.manual_seed(step_seed(seed, epoch, step))
            batches = [
                mix(batch.to(device), mix_seed(seed, epoch, step, number))
                for number, batch in enumerate(batches)
            ]
            weights = torch.stack([criterion.weigh(batch.labels) for batch in batches])
            shares = weights / weights.sum(dim=0).clamp(min=_TINY)  # means of means would be wrong
            attempt = partial(_attempt, parts, backward, batches[0])
            with advice_when_memory_runs_out(settings.batch_size, device, attempt=attempt):
                losses = [backward(batch, own) for batch, own in zip(batches, shares, strict=True)]
                norm, skipped = _update(parts, settings.max_norm)
            row: dict[str, float] = {
                "epoch": epoch,
                "step": step,
                "loss": float(np.sum(losses)),
                "learning_rate": float(parts.schedule.get_last_lr()[0]),
                "gradient_norm": norm,
            }
            _require_finite(row, losses, batches, training, parts.scaler, skipped=skipped)
            if not skipped:
                parts.schedule.step()
                if parts.average:
                    parts.average.update(model, step=parts.schedule.last_epoch)
            progress.losses = _sum_up(progress.losses, np.sum(losses, axis=0), weights.sum(dim=0))
            progress.step = step
            progress.steps.append(row)
            curves.add(row)
            left = clock.seconds_left()
            tell(StepDone(**row, epochs=epochs, steps=steps, seconds_left=left))
            if step % settings.checkpoint_steps == 0:
                save()
            heed_orders()

        loss = sum((total / max(weight, _TINY) for total, weight in progress.losses), 0.0)
        row = {"epoch": epoch, "loss": loss, **evaluate(epoch)}
        progress.epoch, progress.step = epoch, 0
        progress.epochs.append(row)
        curves.add(row)
        if settings.keep != "last" and _is_best(progress.epochs, settings.keep):
            judged = parts.judged.state_dict()
            progress.best = {name: tensor.cpu().clone() for name, tensor in judged.items()}
        save()
        tell(EpochDone(**row, epochs=epochs))
        heed_orders()

    _say_what_was_passed_over(progress, settings, tell)
    model.load_state_dict(progress.best or parts.judged.state_dict())
    return progress


def _note_process(progress: Progress, environment: dict[str, Any], tell: Tell) -> None:
    """Record this process's first step, and warn if its environment differs from the last one's."""
    if progress.processes:
        before = progress.processes[-1]
        changes = [
            f"{name} {before.get(name)} -> {now}"
            for name, now in environment.items()
            if before.get(name) != now
        ]
        if changes:
            tell(Warned(text=f"goes on under another {', '.join(changes)}: not to the same bits"))
    begins = {"from_epoch": progress.epoch + 1, "from_step": progress.step + 1}
    progress.processes.append(begins | environment)


def _freeze(model: nn.Module, *, frozen: bool) -> None:
    """Freeze the backbones, including running means, or unfreeze them."""
    for name, module in model.named_modules():
        if name.rpartition(".")[2] == "backbone":
            module.train(not frozen).requires_grad_(not frozen)


def _attempt(
    parts: Parts, backward: Callable[[Batch, Tensor], Floats], batch: Batch, samples: int
) -> None:
    """Make two steps with this many samples; the second includes the optimiser state's memory."""
    for _ in range(2):
        parts.optimiser.zero_grad()
        backward(batch.first(samples), torch.ones((), device=batch.labels.device))
        parts.optimiser.step()


def _update(parts: Parts, max_norm: float | None) -> tuple[float, bool]:
    """Update the weights; return the gradient norm before clipping, and whether it was skipped.

    The scaler skips an update whose gradient overflows in float16, and lowers its scale.
    """
    parts.scaler.unscale_(parts.optimiser)
    norm = clip_grad_norm_(parts.model.parameters(), max_norm or math.inf)
    parts.scaler.step(parts.optimiser)
    before = parts.scaler.get_scale()
    parts.scaler.update()
    parts.optimiser.zero_grad()
    return norm.item(), parts.scaler.get_scale() < before


def _sum_up(
    before: list[tuple[float, float]], means: Floats, weights: Tensor
) -> list[tuple[float, float]]:
    """Add a step's losses and weights to the sums (loss, weight) of each term."""
    return [
        (total + mean * weight, weighed + weight)
        for (total, weighed), mean, weight in zip(
            before or [(0.0, 0.0)] * len(means), means.tolist(), weights.tolist(), strict=True
        )
    ]


def _require_finite(
    row: dict[str, float],
    losses: list[Floats],
    batches: list[Batch],
    samples: Samples,
    scaler: torch.amp.GradScaler,
    *,
    skipped: bool,
) -> None:
    """Require finite losses and a finite gradient.

    A scaler skips gradients that overflow and halves its scale, which is useless below 1.
    """
    suspects = [
        batch for batch, loss in zip(batches, losses, strict=True) if not np.isfinite(loss).all()
    ]
    harmless = scaler.get_scale() >= 1 if skipped else math.isfinite(row["gradient_norm"])
    if not suspects and harmless:
        return
    what = f"loss is {row['loss']}" if suspects else f"gradient's norm is {row['gradient_norm']}"
    ids = [samples.ids[place] for batch in suspects or batches for place in batch.places]
    raise StageError(
        f"training: the {what} in step {row['step']} of epoch {row['epoch']}, expected a finite "
        f"number; look at the samples {', '.join(ids)}, or lower training.learning_rate"
        f"{', or set training.precision to bfloat16' if scaler.is_enabled() else ''}"
    )


def _is_best(epochs: list[dict[str, float]], keep: Keep) -> bool:
    """Return whether the last epoch is at least as good as all before.

    Values that are not finite are worse than all others, and equal to each other.
    """
    values = [_judge(row, keep) for row in epochs]
    return not any(value < values[-1] for value in values)


def _judge(row: dict[str, float], keep: Keep) -> float:
    """Return the value by which epochs are compared, lower is better; infinite if not finite."""
    columns = {
        "last": [],
        "loss": ["validation_loss"],
        "metric": ["score"],
        "both": ["validation_loss", "score"],
    }
    value = sum(row[column] for column in columns[keep])
    return value if math.isfinite(value) else math.inf


def _say_what_was_passed_over(progress: Progress, settings: TrainingSettings, tell: Tell) -> None:
    """Warn of skipped updates, and of epochs without a finite value to compare."""
    skipped = sum(not math.isfinite(row["gradient_norm"]) for row in progress.steps)
    if skipped:
        tell(
            Warned(
                text=f"skipped {skipped} of {len(progress.steps)} updates, whose gradients "
                "overflowed in float16; training.precision bfloat16 has the range of float32"
            )
        )
    unjudged = [row["epoch"] for row in progress.epochs if _judge(row, settings.keep) == math.inf]
    if unjudged:
        kept = "the last epoch is kept" if len(unjudged) == len(progress.epochs) else "never kept"
        tell(
            Warned(
                text=f"training.keep {settings.keep}: no number to judge epoch "
                f"{', '.join(f'{epoch:g}' for epoch in unjudged)} by; {kept}"
            )
        )


class _Clock:
    """Estimates the remaining time from the steps of this process."""

    def __init__(self, done: int, total: int) -> None:
        self._started, self._first = time.monotonic(), done
        self._done, self._total = done, total

    def seconds_left(self) -> float:
        """Return the estimate; call it once per step."""
        self._done += 1
        a_step = (time.monotonic() - self._started) / (self._done - self._first)
        return a_step * (self._total - self._done)
