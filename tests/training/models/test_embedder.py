"""The features beside the logits."""

from collections.abc import Callable

import torch

from lsdc.training.inference import predict_outputs
from lsdc.training.models.embedder import Embedder
from lsdc.training.models.model import SliceModel
from lsdc.training.samples import Samples, batch_of


def test_features_are_what_the_heads_read(build: Callable[[], SliceModel], blobs: Samples) -> None:
    model, cpu = build().eval(), torch.device("cpu")
    found = predict_outputs(Embedder(model), blobs, batch_size=7, device=cpu)
    plain = predict_outputs(model, blobs, batch_size=7, device=cpu)
    assert torch.equal(found.grades, plain.grades)
    assert plain.features is None
    assert found.features is not None
    assert found.features.shape == (24, 4 * 16)
    batch = batch_of(blobs, range(24))
    with torch.inference_mode():
        features, seen = model.encode(batch.slices, batch.present)
        torch.testing.assert_close(found.features, features.flatten(1))
        torch.testing.assert_close(model.read(features, seen).grades, found.grades)
