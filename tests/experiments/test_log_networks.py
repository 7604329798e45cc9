"""The lab log's networks: that their backbones exist, and that each learns a step, untrained."""

import pytest
import timm
import torch

from lsdc.experiments.config import Experiment
from lsdc.experiments.presets import experiment_names, load_experiment
from lsdc.lumbar.network import build_loss, build_model
from lsdc.lumbar.slice_places import list_places
from lsdc.lumbar.vocabulary import CONDITIONS, GRADES, LEVELS


def distinct_networks() -> dict[str, Experiment]:
    """The first experiment of each network: its settings, input and loss."""
    found: dict[object, Experiment] = {}
    for name in experiment_names():
        experiment = load_experiment(name)
        slices = tuple(list_places(experiment.slices))
        network = (experiment.model, slices, experiment.crops.size_px, experiment.loss)
        found.setdefault(network, experiment)
    return {experiment.name: experiment for experiment in found.values()}


NETWORKS = distinct_networks()


@pytest.mark.parametrize("backbone", sorted({each.model.backbone for each in NETWORKS.values()}))
def test_backbone_is_one_of_timms_with_weights(backbone: str) -> None:
    config = timm.models.get_pretrained_cfg(backbone)
    assert config is not None
    assert config.hf_hub_id
    assert config.tag == (backbone.partition(".")[2] or config.tag)


def test_networks_that_differ_are_as_many_as_the_log_tries() -> None:
    tried = {"exp001", "exp047", "exp084", "exp091", "exp092", "exp093", "exp101", "exp111"}
    tried |= {"exp113", "exp117", "exp118", "exp141", "exp154", "exp155", "exp156", "exp168"}
    assert tried <= set(NETWORKS)
    assert not {"exp002", "exp164", "exp187"} & set(NETWORKS)


@pytest.mark.slow_training
@pytest.mark.parametrize("name", NETWORKS)
def test_network_learns_a_step(name: str) -> None:
    experiment = NETWORKS[name]
    torch.manual_seed(0)
    model = build_model(experiment, pretrained=False).train()
    count, size = experiment.slices.count, experiment.crops.size_px
    slices = torch.randint(256, (2, count, size, size), dtype=torch.uint8)
    present = torch.zeros(2, count, dtype=torch.bool)
    present[:, [0, count // 2, -1]] = True  # enough to see something, few enough to be quick
    labels = torch.randint(len(GRADES), (2, len(CONDITIONS)))
    if experiment.loss.level_weight:
        labels = torch.cat([labels, torch.randint(len(LEVELS), (2, 1))], dim=1)
    loss = build_loss(experiment)(model(slices, present), labels)
    loss.backward()
    without = [key for key, value in model.named_parameters() if value.grad is None]
    assert loss.isfinite()
    assert not without
    assert all(value.grad.isfinite().all() for value in model.parameters())
