"""Predictions of a model with context over a study do not depend on the batch size."""

from dataclasses import replace

import numpy as np
import torch

from lsdc.training.inference import predict_logits
from lsdc.training.models.model import SliceModel, Task
from lsdc.training.samples import Samples
from lsdc.training.settings.model import ModelSettings


def test_each_study_is_predicted_as_a_whole(blobs: Samples) -> None:
    torch.manual_seed(0)
    model = SliceModel(
        ModelSettings(backbone="test_efficientnet_gn", width=16, study_context="transformer"),
        Task(4, 32, heads=2, classes=3, items=5),
        pretrained=False,
    )
    members = np.column_stack([np.arange(24) // 5, np.arange(24) % 5])
    samples = replace(blobs, members=members)

    def predict(batch_size: int) -> torch.Tensor:
        return predict_logits(model, samples, batch_size=batch_size, device=torch.device("cpu"))

    whole = predict(100)
    torch.testing.assert_close(predict(1), whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(predict(7), whole, rtol=1e-4, atol=1e-5)
    alone = replace(samples, members=np.column_stack([np.arange(24), np.arange(24) % 5]))
    apart = predict_logits(model, alone, batch_size=7, device=torch.device("cpu"))
    assert (apart - whole).abs().max() > 1e-3
