"""The training loop."""

import math
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
from lsdc.training.batch_norm import last_batch_is_too_small, use_running_stats_for_single_values
from lsdc.training.checkpoint import Progress, load_progress, note_process, save_progress
from lsdc.training.events import EpochDone, Predicting, Resumed, StepDone, Warned
from lsdc.training.inference import Probabilities, as_array, predict_outputs
from lsdc.training.interrupts import StopRequested, check_interrupts
from lsdc.training.losses.criterion import Criterion
from lsdc.training.models.named_backbones import named_backbones
from lsdc.training.oom import advice_when_memory_runs_out
from lsdc.training.parallel.division import Division, synchronise_batch_norms
from lsdc.training.parallel.world import ALONE, World
from lsdc.training.process import OnEvent
from lsdc.training.samples import Augment, Batch, Mix, SampleSet, TrainingSteps, mix_seed, step_seed
from lsdc.training.settings.memory import MemorySettings
from lsdc.training.settings.training import Keep, TrainingSettings
from lsdc.training.tensorboard import Curves
from lsdc.training.train_state import Parts, build_parts

Floats = NDArray[np.float64]

Score = Callable[[Floats], float]
"""Maps probabilities (n, heads, classes) of the validation samples to a score; lower is better.

With targets that are images, they are (n, heads, rows, columns).
"""

_SINGLE_SAMPLE = (
    "batch norms use their running statistics for a batch with a single sample; to avoid this, "
    "choose another training.batch_size, or a model.backbone without batch norms"
)
_TINY = float(np.finfo(np.float32).tiny)  # avoids division by 0 where no label has any weight


@dataclass(kw_only=True)
class Training:
    """Training of a model. `run` starts it, or resumes it from its checkpoint.

    The model maps slices (b, s, h, w), the mask `present` (b, s) and the `members` (b, 2) of the
    samples, or None if these are not known, to `Outputs`.
    Its submodules named `backbone` can be frozen.

    Attributes:
        model: the model, which is trained in place.
        train_samples: the training samples.
        val_samples: the validation samples, which are scored after each epoch.
        settings: the settings of the training.
        memory: the settings to name where memory runs out.
        augment: function that augments a sample.
        mix: function that mixes the samples of a batch, as in mixup.
        plain_epochs: number of epochs at the end in which it is not used.
        criterion: the loss.
        probabilities: function that maps logits to the probabilities that are scored.
        score: function that computes the score from these probabilities.
        seed: random seed of order, augmentation, mixing and dropout.
        device: the device to train on.
        workers: number of processes that load the data; the result does not depend on it.
        folder: the folder of the checkpoint resume.pt and of TensorBoard's curves.
        identity: identifies data, settings and code. A checkpoint with another identity is not
            resumed.
        environment: CPU type, torch build, number of threads and so on. Bit-identical results need
            the same environment. It is recorded with the first step of each process.
        on_event: called with an event for each step and each epoch (counted from 1), and for
            warnings. A resumed training first reports its past epochs.
        pauses: paths of pause files. While one of them exists, the training waits.
        stop_requested: function that returns whether to save a checkpoint and stop.
        world: the processes that train together; only the first one reports and writes. The result
            depends on their number by rounding alone.
    """

    model: nn.Module
    train_samples: SampleSet
    val_samples: SampleSet
    settings: TrainingSettings
    memory: MemorySettings
    augment: Augment
    mix: Mix
    criterion: Criterion
    probabilities: Probabilities
    score: Score
    seed: int
    device: torch.device
    workers: int
    folder: Path
    identity: str
    environment: dict[str, Any]
    on_event: OnEvent
    pauses: Sequence[Path] = ()
    stop_requested: StopRequested = lambda: False
    world: World = ALONE
    plain_epochs: int = 0

    def __post_init__(self) -> None:
        """Build the optimiser and its schedule, and load the checkpoint."""
        settings = self.settings
        self.model.to(self.device)
        self._steps = TrainingSteps(
            self.train_samples,
            self.augment,
            batch_size=settings.batch_size,
            accumulate=settings.accumulate,
            seed=self.seed,
            workers=self.workers,
            batch_by=settings.batch_by,
            together=settings.batch_by == "sample"
            and last_batch_is_too_small(
                self.model, self.train_samples, settings.batch_size, self.device
            ),
            share=self.world.share,
        )
        synchronise_batch_norms(self.model, self.world, self.device)
        steps = len(self._steps)
        self._precision: torch.dtype = getattr(torch, settings.precision)
        self._parts = build_parts(self.model, settings, settings.epochs * steps, self.device)
        use_running_stats_for_single_values(
            self.model, say=partial(self.on_event, Warned(text=_SINGLE_SAMPLE))
        )
        with self.world.first_goes_first():
            progress = load_progress(self.folder / "resume.pt", self.identity, self.on_event)
        self._parts.load(progress.states)
        self._progress = progress
        self._division = Division(self.world, self.model, self._parts.eval_model)
        rows = [*progress.steps, *progress.epochs]
        folder = self.folder / "tensorboard" if self.world.is_first else None
        self._curves = Curves(folder, steps, rows=rows)

    def run(self) -> Progress:
        """Train the model, and load the kept weights into it.

        A checkpoint is written every `settings.checkpoint_steps` steps and after each epoch. In
        the same environment, a resumed training is bit-identical to an uninterrupted one.

        Raises:
            StageError: the loss or gradient is not finite (in float16: repeatedly); names the
                samples.
            SettingsError: memory ran out; names the batch size that fits.
            NoSpaceError: a checkpoint does not fit on the disk; the previous one is kept.
            ResumeLaterError: the training was stopped, and saved a checkpoint.
        """
        progress, epochs = self._progress, self.settings.epochs
        if progress.epoch < epochs:
            note_process(progress, self.environment, self.on_event)
        if progress.epochs:
            self.on_event(Resumed(past=tuple(progress.epochs)))
        for epoch in range(progress.epoch + 1, epochs + 1):
            self._train_epoch(epoch)
            self._end_epoch(epoch)
        self._division.end()
        _warn_of_non_finite(progress, self.settings, self.on_event)
        self.model.load_state_dict(progress.best or self._parts.eval_model.state_dict())
        return progress

    def _train_epoch(self, epoch: int) -> None:
        """Run the remaining steps of an epoch."""
        progress = self._progress
        self.model.train()
        _freeze(self.model, frozen=epoch <= self.settings.freeze_epochs)
        if not progress.step:
            progress.losses = []
        steps = self._steps.of_epoch(epoch, progress.step)
        for step, batches in enumerate(steps, progress.step + 1):
            self._train_step(epoch, step, batches)
            if step % self.settings.checkpoint_steps == 0:
                self._save()
            self._check_interrupts()

    def _train_step(self, epoch: int, step: int, batches: list[Batch]) -> None:
        """Do one optimiser step on the mean loss of the batches, and record it."""
        torch.manual_seed(step_seed(self.seed, epoch, step))
        batches = [self.world.join(batch.to(self.device)) for batch in batches]
        if epoch <= self.settings.epochs - self.plain_epochs:
            batches = [
                self.mix(batch, mix_seed(self.seed, epoch, step, number))
                for number, batch in enumerate(batches)
            ]
        weigh, members_of = self.criterion.weigh, self.train_samples.members_of
        weights = torch.stack([weigh(batch.labels, members_of(batch.places)) for batch in batches])
        # Labels have weights that differ between batches, so the mean of the means would be wrong.
        shares = weights / weights.sum(dim=0).clamp(min=_TINY)
        parts, batch_size = self._parts, self.settings.batch_size
        attempt = partial(self._attempt, batches[0])
        with advice_when_memory_runs_out(batch_size, self.device, self.memory, attempt):
            losses = [self._backward(*each) for each in zip(batches, shares, strict=True)]
            norm, skipped = _update(parts, self.settings.max_norm)
        row: dict[str, float] = {
            "epoch": epoch,
            "step": step,
            "loss": float(np.sum(losses)),
            "learning_rate": float(parts.schedule.get_last_lr()[0]),
            "gradient_norm": norm,
        }
        _require_finite(row, losses, batches, self.train_samples, parts.scaler, skipped=skipped)
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
        self.on_event(StepDone(**row, **counts))

    def _backward(self, batch: Batch, shares: Tensor) -> Floats:
        """Backpropagate the loss terms times `shares` (terms,), and return the products."""
        reduced = self._precision != torch.float32
        members = self.train_samples.members_of(batch.places)
        with torch.autocast(self.device.type, self._precision, enabled=reduced):
            blend = {} if batch.blend is None else {"blend": batch.blend}
            outputs = self._division.learner(batch.slices, batch.present, members, **blend)
        terms = self.criterion.terms(outputs.map(Tensor.float), batch.labels, members) * shares
        self._parts.scaler.scale(terms.sum()).backward()  # type: ignore[no-untyped-call]
        return as_array(terms.detach())

    def _attempt(self, batch: Batch, size: int) -> None:
        """Try two optimiser steps with this batch size, to find out whether memory suffices.

        At the second step, the state of the optimiser is in memory, too. If several processes train
        together, this one tries its share without the others.
        """
        first = self._steps.first_of(batch, -(-size // self.world.size))
        with self._division.paused():
            for _ in range(2):
                self._parts.optimiser.zero_grad()
                self._backward(first, torch.ones((), device=batch.slices.device))
                self._parts.optimiser.step()

    def _end_epoch(self, epoch: int) -> None:
        """Validate after an epoch, and keep its weights if they are the best so far."""
        progress, keep = self._progress, self.settings.keep
        loss = sum((total / max(weight, _TINY) for total, weight in progress.losses), 0.0)
        row = {"epoch": epoch, "loss": loss, **self._evaluate(epoch)}
        progress.epoch, progress.step = epoch, 0
        progress.epochs.append(row)
        self._curves.add(row)
        if keep != "last" and _is_best(progress.epochs, keep):
            weights = self._parts.eval_model.state_dict()
            progress.best = {name: tensor.cpu().clone() for name, tensor in weights.items()}
        self._save()
        self.on_event(EpochDone(**row, epochs=self.settings.epochs))
        self._check_interrupts()

    def _evaluate(self, epoch: int) -> dict[str, float]:
        """Return loss and score of the validation samples."""

        def on_batch(_: int) -> None:
            self.on_event(Predicting(epoch=epoch, epochs=self.settings.epochs))
            self._check_interrupts()

        outputs = predict_outputs(
            self._parts.eval_model,
            self.val_samples,
            batch_size=self.settings.batch_size,
            device=self.device,
            precision=self._precision,
            on_batch=on_batch,
        )
        labels = self.val_samples.shown_labels.map(partial(torch.tensor, device=self.device))
        members = self.val_samples.members_of(range(len(self.val_samples)))
        return {
            "validation_loss": self.criterion(outputs, labels, members).item(),
            "score": self.score(as_array(self.probabilities(outputs.grades.double()))),
        }

    def _save(self) -> None:
        if not self.world.is_first:
            return
        self._progress.states = self._parts.states()
        save_progress(self.folder / "resume.pt", self._progress, self.identity)
        self._curves.flush()

    def _check_interrupts(self) -> None:
        check_interrupts(
            self.pauses,
            self.stop_requested,
            save=self._save,
            on_event=self.on_event,
            agree=self.world.any,
        )


def _freeze(model: nn.Module, *, frozen: bool) -> None:
    """Freeze the backbones, including the running statistics of batch norms, or unfreeze them."""
    for _, backbone in named_backbones(model):
        backbone.train(not frozen).requires_grad_(not frozen)


def _update(parts: Parts, max_norm: float | None) -> tuple[float, bool]:
    """Update the weights; return the norm of the gradient, and whether the update was skipped.

    The norm is that before clipping. The scaler skips the update if the gradient overflows in
    float16, and lowers its scale.
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
    """Add the losses and weights of a step to the sums (loss, weight) of each loss term."""
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
    samples: SampleSet,
    scaler: torch.amp.GradScaler,
    *,
    skipped: bool,
) -> None:
    """Require finite losses and a finite gradient.

    The scaler skips an update whose gradient overflows, and halves its scale. With a scale below 1
    this no longer helps, so it is an error.
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
    """Return the value by which epochs are compared; lower is better. NaN counts as infinity."""
    columns = {
        "last": [],
        "loss": ["validation_loss"],
        "metric": ["score"],
        "both": ["validation_loss", "score"],
    }
    value = sum(row[column] for column in columns[keep])
    return value if math.isfinite(value) else math.inf


def _warn_of_non_finite(progress: Progress, settings: TrainingSettings, on_event: OnEvent) -> None:
    """Warn of skipped updates, and of epochs whose value to compare is not finite."""
    skipped = sum(not math.isfinite(row["gradient_norm"]) for row in progress.steps)
    if skipped:
        on_event(
            Warned(
                text=f"skipped {skipped} of {counted(len(progress.steps), 'update')}, as gradients "
                "overflowed in float16; training.precision bfloat16 has the range of float32"
            )
        )
    ignored = [row["epoch"] for row in progress.epochs if _value_of(row, settings.keep) == math.inf]
    if ignored:
        kept = "the last" if len(ignored) == len(progress.epochs) else "another"
        on_event(
            Warned(
                text=f"training.keep {settings.keep}: validation loss or score is not finite in "
                f"epoch {', '.join(f'{epoch:g}' for epoch in ignored)}; {kept} epoch is kept"
            )
        )
