"""The networks: any number of channels, backbones that exist, and the loss that is the metric."""

import numpy as np
import pytest
import timm
import torch

from lsdc.challenges.hemorrhage.config.presets import EXPERIMENTS
from lsdc.challenges.hemorrhage.scoring.metric import score_arrays
from lsdc.challenges.hemorrhage.training.network import (
    build_loss,
    build_model,
    build_sequence,
    read_probabilities,
)
from lsdc.training.models.backbone import published_name
from lsdc.training.models.outputs import Outputs
from lsdc.training.samples import Labels
from tests.challenges.hemorrhage.training.planted import small


def test_every_backbone_is_timms_and_has_weights_where_it_needs_them() -> None:
    published = set(timm.list_pretrained())
    for name in EXPERIMENTS.names():
        experiment = EXPERIMENTS.load(name)
        assert timm.is_model(experiment.model.backbone.partition(".")[0]), name
        for backbone in experiment.pretrained_backbones:
            assert published_name(backbone) == backbone
            assert backbone in published, name


@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["model.neighbours=[-1, 0, 1]"],
        ["slices.windows=[[40, 80], [80, 200]]", "model.neighbours=[-1, 0, 1]"],
        ["slices.windows=[[40, 80], [80, 200], [600, 2800]]", "model.neighbours=[-1, 0, 1]"],
    ],
    ids=lambda settings: " ".join(settings) or "one window",
)
def test_a_backbone_takes_1_3_6_or_9_channels(settings: list[str]) -> None:
    experiment = small(*settings)
    model = build_model(experiment, pretrained=False).eval()
    slices = torch.randint(0, 256, (2, experiment.channels, 32, 32), dtype=torch.uint8)
    found = model(slices, torch.ones(2, experiment.channels, dtype=torch.bool))
    assert found.grades.shape == (2, 1, 6)
    (image,) = model.images
    assert image == tuple(range(experiment.channels))


def test_the_loss_of_the_default_weights_is_the_metric() -> None:
    random = np.random.default_rng(0)
    logits = torch.tensor(random.normal(-2, 2, (50, 1, 6)))
    labels = random.integers(0, 2, (50, 6))
    loss = build_loss(small())(
        Outputs(logits.float()), Labels(torch.tensor(labels[:, None]).float())
    )
    expected = score_arrays(labels.astype(np.int8), read_probabilities(logits)[:, 0].numpy()).score
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    # The notes' worked case: subdural and any, a quarter everywhere.
    quarter = torch.full((1, 1, 6), float(np.log(0.25 / 0.75)))
    case = torch.tensor([[[0.0, 0, 0, 0, 1, 1]]])
    found = build_loss(small())(Outputs(quarter), Labels(case))
    assert found.item() == pytest.approx(0.7585159104523994, rel=1e-6)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_a_sequence_has_six_outputs_a_slice(kind: str) -> None:
    model = build_sequence(small(f"sequence.kind={kind}")).eval()
    found = model(torch.zeros(2, 5, 1, 8 + 6 + 2), torch.ones(2, 5, dtype=torch.bool))
    assert found.grades.shape == (2, 5, 6)
