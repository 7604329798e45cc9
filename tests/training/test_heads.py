import torch
from torch import nn

from lsdc.training.heads import build_head


def test_layers_come_in_order_and_the_last_gives_the_logits() -> None:
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


def test_single_linear_layer_has_no_width_of_its_own() -> None:
    head = build_head(("layer_norm", "relu", "linear"), 7, 3, width=5, dropout=0.0)
    assert head(torch.randn(2, 7)).shape == (2, 3)


def test_batch_of_one_is_normed_by_those_before() -> None:
    head = build_head(("batch_norm", "linear"), 4, 4, width=1, dropout=0.0)
    before = 3 + 2 * torch.randn(500, 4)
    for _ in range(50):
        head(before)
    one = torch.full((1, 4), 3.0)
    torch.testing.assert_close(head.train()(one), head.eval()(one))
    assert head[0](one).abs().max() < 0.2
