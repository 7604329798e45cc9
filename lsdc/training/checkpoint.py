"""Checkpoints: whole or absent, loadable without running code, and bound to what made them."""

import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor


@dataclass
class Progress:
    """Where a training stands after an epoch; saved whole, so that it goes on as if never killed.

    Random numbers need no state: they are functions of the seed, the epoch and the step.

    Attributes:
        epoch: epochs done.
        model, optimiser: state dicts.
        history: a row an epoch.
        processes: for each process that trained, its first epoch and its environment.
        best: the kept weights, where they are not those of the last epoch.
    """

    epoch: int = 0
    model: dict[str, Tensor] = field(default_factory=dict)
    optimiser: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    processes: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)


def save_progress(path: Path, progress: Progress, identity: str) -> None:
    """Save under `identity`, which names data, settings and code; see `load_progress`."""
    temporary = path.with_name(f".writing-{path.name}")
    torch.save({"identity": identity, **vars(progress)}, temporary)
    _replace(temporary, path)


def load_progress(path: Path, identity: str) -> Progress:
    """What was saved under the same identity; else, or if the file is damaged, a fresh start."""
    try:
        saved = torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):
        return Progress()
    if not isinstance(saved, dict) or saved.pop("identity", None) != identity:
        return Progress()
    return Progress(**saved)


def save_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Save a state dict as safetensors."""
    temporary = path.with_name(f".writing-{path.name}")
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, temporary)
    _replace(temporary, path)


def load_weights(path: Path) -> dict[str, Tensor]:
    """A state dict from safetensors, on the CPU."""
    weights: dict[str, Tensor] = load_file(path)
    return weights


def _replace(temporary: Path, path: Path) -> None:
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
