import torch
from torch import nn

from lsdc.training.models.heads import build_head


def test_layers_are_in_order_and_the_last_gives_the_logits() -> None:
    head = build_head(
        ("linear", "batch_norm", "dropout", "leaky_relu", "linear"), 7, 3, width=5, dropout=0.4
    )
    kinds = (nn.Linear, nn.BatchNorm1d, nn.Dropout, nn.LeakyReLU, nn.Linear)
    assert all(isinstance(layer, kind) for layer, kind in zip(head, kinds, strict=True))
    assert head[2].p == 0.4
    assert [(layer.in_features, layer.out_features) for layer in (head[0], head[4])] == [
        (7, 5),
        (5, 3),
    ]


def test_single_linear_layer_ignores_the_width() -> None:
    head = build_head(("layer_norm", "relu", "linear"), 7, 3, width=5, dropout=0.0)
    assert head(torch.randn(2, 7)).shape == (2, 3)
