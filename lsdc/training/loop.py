"""The training loop."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from lsdc.errors import StageError
from lsdc.messages import counted
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
    "batch norms use their running statistics for a batch with a single sample; to avoid this, "
    "choose another training.batch_size, or a model.backbone without batch norms"
)
_TINY = float(np.finfo(np.float32).tiny)  # avoids division by 0 where no label has any weight


@dataclass(kw_only=True)
class Training:
    """The training of a model, which `run` begins, or resumes from its checkpoint.

    The model maps slices (b, s, h, w) and present (b, s) to logits (b, heads, classes); its
    submodules named `backbone` can be frozen.

    Attributes:
        model: the model, which is trained in place.
        training: the samples to learn.
        validation: the samples to score each epoch by.
        settings: the settings of the training.
        augment: changes a sample.
        mix: mixes a batch.
        criterion: the loss.
        probabilities: from logits to the probabilities that are scored.
        score: the score of an epoch.
        seed: random seed of order, augmentation, mixing and dropout.
        device: the device to train on.
        workers: number of processes that load the data; the result does not depend on it.
        folder: the folder of the checkpoint resume.pt and of TensorBoard's curves.
        identity: names data, settings and code; only a checkpoint of the same one is resumed.
        environment: CPU type, torch build, threads and the like, on which the last bits depend. It
            is recorded with the first step of each process.
        tell: gets an event for each step and epoch, counted from 1, and on resuming first one with
            the past epochs; also a warning if the environment changed, or if the checkpoint cannot
            be read.
        pauses: files; while one of them exists, the training waits.
        is_told_to_leave: whether the training has to save a checkpoint and end.
    """

    model: nn.Module
    training: Samples
    validation: Samples
    settings: TrainingSettings
    augment: Augment
    mix: Mix
    criterion: GradedLoss
    probabilities: Probabilities
    score: Score
    seed: int
    device: torch.device
    workers: int
    folder: Path
    identity: str
    environment: dict[str, Any]
    tell: Tell
    pauses: Sequence[Path] = ()
    is_told_to_leave: IsToldToLeave = lambda: False

    def __post_init__(self) -> None:
        """Build the optimiser and its schedule, and load the checkpoint."""
        settings = self.settings
        self.model.to(self.device)
        self._steps = TrainingSteps(
            self.training,
            self.augment,
            batch_size=settings.batch_size,
            accumulate=settings.accumulate,
            seed=self.seed,
            workers=self.workers,
            together=needs_company(self.model, self.training, settings.batch_size, self.device),
        )
        steps = len(self._steps)
        self._precision: torch.dtype = getattr(torch, settings.precision)
        self._parts = build_parts(self.model, settings, settings.epochs * steps, self.device)
        norm_by_running_means(self.model, say=partial(self.tell, Warned(text=_ALONE)))
        progress = load_progress(self.folder / "resume.pt", self.identity, self.tell)
        self._parts.load(progress.states)
        self._progress = progress
        rows = [*progress.steps, *progress.epochs]
        self._curves = Curves(self.folder / "tensorboard", steps, rows=rows)
        self._clock = _Clock(progress.epoch * steps + progress.step, settings.epochs * steps)

    def run(self) -> Progress:
        """Train the model; it ends with the weights that are kept.

        A checkpoint is written every `settings.checkpoint_steps` steps and after each epoch. What
        resumes from it is the same bit for bit in the same environment.

        Raises:
            StageError: the loss or gradient is not finite (in float16: repeatedly); names the
                samples.
            SettingsError: memory ran out; names the batch size that fits.
            NoSpaceError: a checkpoint does not fit on the disk; the previous one is kept.
            ResumeLaterError: the training was stopped, and saved a checkpoint.
        """
        progress, epochs = self._progress, self.settings.epochs
        if progress.epoch < epochs:
            _note_process(progress, self.environment, self.tell)
        if progress.epochs:
            self.tell(Resumed(past=tuple(progress.epochs)))
        for epoch in range(progress.epoch + 1, epochs + 1):
            self._learn(epoch)
            self._judge(epoch)
        _say_what_was_passed_over(progress, self.settings, self.tell)
        self.model.load_state_dict(progress.best or self._parts.judged.state_dict())
        return progress

    def _learn(self, epoch: int) -> None:
        """Make the steps of an epoch that are left."""
        progress = self._progress
        self.model.train()
        _freeze(self.model, frozen=epoch <= self.settings.freeze_epochs)
        if not progress.step:
            progress.losses = []
        steps = self._steps.of_epoch(epoch, progress.step)
        for step, batches in enumerate(steps, progress.step + 1):
            self._make_step(epoch, step, batches)
            if step % self.settings.checkpoint_steps == 0:
                self._save()
            self._heed_orders()

    def _make_step(self, epoch: int, step: int, batches: list[Batch]) -> None:
        """Update the weights once, by the mean loss of the batches, and record it."""
        torch.manual_seed(step_seed(self.seed, epoch, step))
        batches = [
            self.mix(batch.to(self.device), mix_seed(self.seed, epoch, step, number))
            for number, batch in enumerate(batches)
        ]
        weights = torch.stack([self.criterion.weigh(batch.labels) for batch in batches])
        shares = weights / weights.sum(dim=0).clamp(min=_TINY)  # means of means would be wrong
        parts, batch_size = self._parts, self.settings.batch_size
        attempt = partial(self._attempt, batches[0])
        with advice_when_memory_runs_out(batch_size, self.device, attempt=attempt):
            losses = [self._backward(*each) for each in zip(batches, shares, strict=True)]
            norm, skipped = _update(parts, self.settings.max_norm)
        row: dict[str, float] = {
            "epoch": epoch,
            "step": step,
            "loss": float(np.sum(losses)),
            "learning_rate": float(parts.schedule.get_last_lr()[0]),
            "gradient_norm": norm,
        }
        _require_finite(row, losses, batches, self.training, parts.scaler, skipped=skipped)
        if not skipped:
            parts.schedule.step()
            if parts.average:
                parts.average.update(self.model, step=parts.schedule.last_epoch)
        progress = self._progress
        progress.losses = _sum_up(progress.losses, np.sum(losses, axis=0), weights.sum(dim=0))
        progress.step = step
        progress.steps.append(row)
        self._curves.add(row)
        counts = {"epochs": self.settings.epochs, "steps": len(self._steps)}
        self.tell(StepDone(**row, **counts, seconds_left=self._clock.seconds_left()))

    def _backward(self, batch: Batch, shares: Tensor) -> Floats:
        """Add the gradients of the loss terms times `shares` (terms,); return these losses."""
        reduced = self._precision != torch.float32
        with torch.autocast(self.device.type, self._precision, enabled=reduced):
            logits = self.model(batch.slices, batch.present)
        terms = self.criterion.terms(logits.float(), batch.labels) * shares
        self._parts.scaler.scale(terms.sum()).backward()  # type: ignore[no-untyped-call]
        return as_array(terms.detach())

    def _attempt(self, batch: Batch, samples: int) -> None:
        """Make two steps with this many samples; the second has the optimiser's state in memory."""
        for _ in range(2):
            self._parts.optimiser.zero_grad()
            self._backward(batch.first(samples), torch.ones((), device=batch.labels.device))
            self._parts.optimiser.step()

    def _judge(self, epoch: int) -> None:
        """End an epoch: score it, and keep its weights if they are the best so far."""
        progress, keep = self._progress, self.settings.keep
        loss = sum((total / max(weight, _TINY) for total, weight in progress.losses), 0.0)
        row = {"epoch": epoch, "loss": loss, **self._evaluate(epoch)}
        progress.epoch, progress.step = epoch, 0
        progress.epochs.append(row)
        self._curves.add(row)
        if keep != "last" and _is_best(progress.epochs, keep):
            judged = self._parts.judged.state_dict()
            progress.best = {name: tensor.cpu().clone() for name, tensor in judged.items()}
        self._save()
        self.tell(EpochDone(**row, epochs=self.settings.epochs))
        self._heed_orders()

    def _evaluate(self, epoch: int) -> dict[str, float]:
        """Return loss and score of the validation samples."""

        def on_batch(_: int) -> None:
            self.tell(Predicting(epoch=epoch, epochs=self.settings.epochs))
            self._heed_orders()

        logits = predict_logits(
            self._parts.judged,
            self.validation,
            batch_size=self.settings.batch_size,
            device=self.device,
            precision=self._precision,
            on_batch=on_batch,
        )
        labels = torch.tensor(self.validation.labels, device=self.device)
        return {
            "validation_loss": self.criterion(logits, labels).item(),
            "score": self.score(as_array(self.probabilities(logits.double()))),
        }

    def _save(self) -> None:
        self._progress.states = self._parts.states()
        save_progress(self.folder / "resume.pt", self._progress, self.identity)
        self._curves.flush()

    def _heed_orders(self) -> None:
        check_interrupts(self.pauses, self.is_told_to_leave, save=self._save, tell=self.tell)


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
            tell(Warned(text=f"resumes with other {', '.join(changes)}: not bit-identical"))
    begins = {"from_epoch": progress.epoch + 1, "from_step": progress.step + 1}
    progress.processes.append(begins | environment)


def _freeze(model: nn.Module, *, frozen: bool) -> None:
    """Freeze the backbones, including running means, or unfreeze them."""
    for name, module in model.named_modules():
        if name.rpartition(".")[2] == "backbone":
            module.train(not frozen).requires_grad_(not frozen)


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
    values = [_value_of(row, keep) for row in epochs]
    return not any(value < values[-1] for value in values)


def _value_of(row: dict[str, float], keep: Keep) -> float:
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
                text=f"skipped {skipped} of {counted(len(progress.steps), 'update')}, as gradients "
                "overflowed in float16; training.precision bfloat16 has the range of float32"
            )
        )
    unjudged = [
        row["epoch"] for row in progress.epochs if _value_of(row, settings.keep) == math.inf
    ]
    if unjudged:
        kept = "the last one is kept" if len(unjudged) == len(progress.epochs) else "not kept"
        tell(
            Warned(
                text=f"training.keep {settings.keep}: the value is not finite in epoch "
                f"{', '.join(f'{epoch:g}' for epoch in unjudged)}; {kept}"
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
