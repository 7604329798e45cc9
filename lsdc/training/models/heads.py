"""Heads: from features to logits, by a list of named layers."""

from collections.abc import Sequence

from torch import nn

from lsdc.training.settings.model import HeadLayer


def build_head(
    layers: Sequence[HeadLayer], features: int, outputs: int, *, width: int, dropout: float
) -> nn.Sequential:
    """Build a head (n, features) to (n, outputs); `width` is the size between linear layers."""
    modules: list[nn.Module] = []
    linear = layers.count("linear")
    for layer in layers:
        if layer == "linear":
            linear -= 1
            modules.append(nn.Linear(features, width if linear else outputs))
            features = width
        elif layer == "batch_norm":
            modules.append(nn.BatchNorm1d(features))
        elif layer == "layer_norm":
            modules.append(nn.LayerNorm(features))
        elif layer == "dropout":
            modules.append(nn.Dropout(dropout))
        else:
            modules.append(nn.ReLU() if layer == "relu" else nn.LeakyReLU())
    return nn.Sequential(*modules)
