"""The presets after a journal's attempts in three dimensions."""

import pytest
import torch

from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.challenges.lumbar.training.network import build_model
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADES

PRESETS = [name for name in EXPERIMENTS.names() if name.startswith("journal-")]


@pytest.mark.parametrize("name", PRESETS)
def test_every_attempt_is_in_three_dimensions_and_says_what_differs(name: str) -> None:
    experiment = EXPERIMENTS.load(name)
    assert experiment.model.encoder == "volume"
    assert experiment.note
    assert experiment.deviation
    assert not experiment.reported.results  # the journal has no figure of them
    assert not experiment.pretrained_backbones


@pytest.mark.parametrize("name", PRESETS)
def test_model_of_an_attempt_grades_a_batch(name: str) -> None:
    tiny = ["model.encoder_width=4", "model.width=16", "crops.size_px=32"]
    experiment = EXPERIMENTS.load(name, tiny)
    model = build_model(experiment, pretrained=False).train()
    places = experiment.slices.count
    slices = torch.randint(0, 256, (2, places, *experiment.crops.shape), dtype=torch.uint8)
    outputs = model(slices, torch.ones(2, places, dtype=torch.bool))
    assert outputs.grades.shape == (2, len(CONDITIONS), len(GRADES))
    outputs.grades.sum().backward()
    assert [len(volume) for volume in model.together] == [11, 11, 3]  # T1, T2 and axial


def test_attempts_change_what_their_notes_say() -> None:
    load = EXPERIMENTS.load
    assert load("journal-volume-64").crops.size_px == 64
    assert load("journal-volume-bce").loss.kind == "bce"
    torchio = load("journal-volume-torchio")
    assert (torchio.training.epochs, torchio.augment.alike) == (100, "sample")
