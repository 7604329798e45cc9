"""Heads: from features to logits, by a list of named layers."""

from collections.abc import Sequence
from typing import assert_never

import torch
from torch import Tensor, nn

from lsdc.training.settings.model import HeadLayer


class Head(nn.Sequential):
    """A head (n, features) to (n, outputs).

    In training it returns the mean of `samples` passes, each with dropout of its own: multi-sample
    dropout, Inoue 2019, https://arxiv.org/abs/1905.09788, which averages the passes' losses.
    """

    def __init__(self, *layers: nn.Module, samples: int = 1) -> None:
        super().__init__(*layers)
        self._samples = samples

    def forward(self, features: Tensor) -> Tensor:
        """Return the outputs."""
        passes = self._samples if self.training else 1
        outputs = [self._once(features) for _ in range(passes)]
        return torch.stack(outputs).mean(dim=0) if passes > 1 else outputs[0]

    def _once(self, features: Tensor) -> Tensor:
        for layer in self:
            features = layer(features)
        return features


def build_head(
    layers: Sequence[HeadLayer],
    features: int,
    outputs: int,
    *,
    width: int,
    dropout: float,
    samples: int = 1,
) -> Head:
    """Build a head from named layers; `width` is the size between linear layers."""
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
    return Head(*modules, samples=samples)
