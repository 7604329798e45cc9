"""The backbones of a model: what is frozen, divided among processes, and learns at its own rate."""

from collections.abc import Iterator

from torch import nn


def named_backbones(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the submodules named `backbone`, with their full names."""
    for name, module in model.named_modules():
        if name.rpartition(".")[2] == "backbone":
            yield name, module
