"""Checkpoints: atomic, loaded without executing code, tied to their data, settings and code."""

import io
import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from lsdc.errors import NO_ROOM, NoSpaceError, StageError
from lsdc.training.events import Warned
from lsdc.training.process import OnEvent, ignore

_WORDS = 24  # words of an error's reason shown in messages
# Errors that torch raises on damaged files, found by damaging files.
_DAMAGED = (
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
)


@dataclass
class Progress:
    """The complete state of a training, from which it resumes as if it had never been killed.

    Random numbers need no state: they are functions of the seed, the epoch and the step.

    Attributes:
        epoch: number of finished epochs.
        step: number of weight updates done in the next epoch.
        states: state dicts of the model, its moving average, the optimiser, its schedule and the
            loss scaler, by name.
        steps: one row per weight update.
        epochs: one row per epoch.
        losses: for each loss term its sum over the labels of the current epoch, and the sum of
            their weights.
        processes: for each process that trained, its first step and its environment.
        best: weights to be kept, if they are not those of the last epoch.
    """

    epoch: int = 0
    step: int = 0
    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    steps: list[dict[str, float]] = field(default_factory=list)
    epochs: list[dict[str, float]] = field(default_factory=list)
    losses: list[tuple[float, float]] = field(default_factory=list)
    processes: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)


def note_process(progress: Progress, environment: dict[str, Any], on_event: OnEvent) -> None:
    """Record the first step of this process, and warn if its environment has changed.

    It is compared with the environment of the previous process.
    """
    if progress.processes:
        before = progress.processes[-1]
        changes = [
            f"{name} {before.get(name)} -> {now}"
            for name, now in environment.items()
            if before.get(name) != now
        ]
        if changes:
            on_event(
                Warned(
                    text=f"resumes in another environment ({', '.join(changes)}): the result is "
                    "not bit-identical"
                )
            )
    start = {"from_epoch": progress.epoch + 1, "from_step": progress.step + 1}
    progress.processes.append(start | environment)


def save_progress(path: Path, progress: Progress, identity: str) -> None:
    """Save a checkpoint with `identity`, which names data, settings and code; see `load_progress`.

    Raises:
        NoSpaceError: it does not fit on the disk; the previous checkpoint is kept.
    """
    whole = io.BytesIO()  # torch's file writer hides the cause of errors
    torch.save({"identity": identity, **vars(progress)}, whole)
    temporary = path.with_name(f".writing-{path.name}")
    try:
        temporary.write_bytes(whole.getbuffer())
        _replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno not in NO_ROOM:
            raise
        kept = "the previous one is kept" if path.exists() else "there is no earlier one"
        raise NoSpaceError(
            f"{path}: no space for a checkpoint of {whole.tell() / 1e6:.0f} MB after epoch "
            f"{progress.epoch}, step {progress.step}; {kept}; free some space and start again"
        ) from error


def load_progress(path: Path, identity: str, on_event: OnEvent = ignore) -> Progress:
    """Return the checkpoint saved with the same identity, else an empty one.

    A damaged file, or one that this torch rejects, is renamed, and `on_event` gets a warning.

    Raises:
        OSError: the file exists but cannot be read.
    """
    try:
        whole = io.BytesIO(path.read_bytes())  # torch's file reader hides the cause of errors
    except FileNotFoundError:
        return Progress()
    try:
        saved = torch.load(whole, weights_only=True, map_location="cpu")
    except _DAMAGED as error:
        aside = path.with_name(f"damaged-{path.name}")
        path.replace(aside)
        reason = " ".join(str(error).split()[:_WORDS])
        on_event(
            Warned(text=f"starts again: its checkpoint cannot be read ({reason}); see {aside}")
        )
        return Progress()
    if not isinstance(saved, dict) or saved.pop("identity", None) != identity:
        return Progress()
    return Progress(**saved)


def save_weights(
    path: Path, weights: Mapping[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Save a state dict as safetensors."""
    temporary = path.with_name(f".writing-{path.name}")
    # Files written by safetensors itself are private, whatever the umask.
    whole = {name: tensor.contiguous() for name, tensor in weights.items()}
    temporary.write_bytes(save(whole, metadata))
    _replace(temporary, path)


def restore_weights(model: nn.Module, path: Path, *, of: str) -> None:
    """Load weights that `save_weights` saved of a model of the same kind.

    Raises:
        StageError: they cannot be read, or are another model's; the message names `of`.
    """
    try:
        model.load_state_dict(load_file(path))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise StageError(
            f"{path}: these weights do not fit the model of {of} "
            f"({' '.join(str(error).split()[:_WORDS])}); train the fold again with the same model"
        ) from error


def _replace(temporary: Path, path: Path) -> None:
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
