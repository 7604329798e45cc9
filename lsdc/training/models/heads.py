"""Heads: from features to logits, by a list of named layers."""

from collections.abc import Sequence
from typing import assert_never

from torch import nn

from lsdc.training.settings.model import HeadLayer


def build_head(
    layers: Sequence[HeadLayer], features: int, outputs: int, *, width: int, dropout: float
) -> nn.Sequential:
    """Build a head (n, features) to (n, outputs); `width` is the size between linear layers."""
    modules: list[nn.Module] = []
    linear = layers.count("linear")
    for layer in layers:
        match layer:
            case "linear":
                linear -= 1
                modules.append(nn.Linear(features, width if linear else outputs))
                features = width
            case "batch_norm":
                modules.append(nn.BatchNorm1d(features))
            case "layer_norm":
                modules.append(nn.LayerNorm(features))
            case "dropout":
                modules.append(nn.Dropout(dropout))
            case "relu":
                modules.append(nn.ReLU())
            case "leaky_relu":
                modules.append(nn.LeakyReLU())
            case _:
                assert_never(layer)
    return nn.Sequential(*modules)
