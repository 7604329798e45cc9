import pytest
import torch
from pydantic import ValidationError
from torch import nn

from lsdc.training.models.heads import build_head
from lsdc.training.settings.model import ModelSettings


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


def multi_sample(samples: int) -> nn.Module:
    torch.manual_seed(0)
    return build_head(("dropout", "linear"), 32, 3, width=5, dropout=0.5, samples=samples)


def test_mean_over_dropout_samples_has_the_expectation_of_one() -> None:
    features = torch.randn(1, 32, generator=torch.Generator().manual_seed(1))
    one, five = ((multi_sample(samples)(features.expand(4000, -1))) for samples in (1, 5))
    expected = multi_sample(1).eval()(features)[0]
    error = one.std(dim=0) / 4000**0.5  # of the mean over 4000 draws
    assert ((one.mean(dim=0) - expected).abs() < 4 * error).all()
    assert ((five.mean(dim=0) - expected).abs() < 4 * error).all()
    torch.testing.assert_close(five.var(dim=0) * 5, one.var(dim=0), rtol=0.2, atol=0)


def test_dropout_samples_have_no_effect_in_evaluation_mode() -> None:
    features, five = torch.randn(2, 32), multi_sample(5)
    assert not torch.equal(five(features), five(features))
    five.eval()
    assert torch.equal(five(features), multi_sample(1).eval()(features))
    assert five.state_dict().keys() == multi_sample(1).state_dict().keys()


@pytest.mark.parametrize("changes", [{"dropout": 0.0}, {"head": ("linear",)}])
def test_dropout_samples_without_dropout_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="head_samples has no effect"):
        ModelSettings.model_validate({"head_samples": 5, **changes})
