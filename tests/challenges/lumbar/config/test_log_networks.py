"""The lab log's networks: their backbones exist, and each trains for one step from scratch.

The full networks are slow; their models and losses with small backbones are fast.
"""

import pytest
import timm
import torch

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.challenges.lumbar.slices.slots import list_places
from lsdc.challenges.lumbar.training.network import build_loss, build_model
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADES, LEVELS
from lsdc.training.samples import EMPTY_LABEL, Labels


def distinct_networks() -> dict[str, Experiment]:
    """Return the first experiment of each network: its settings, input and loss."""
    found: dict[object, Experiment] = {}
    for name in EXPERIMENTS.names():
        experiment = EXPERIMENTS.load(name)
        slices = tuple(list_places(experiment.slices))
        network = (experiment.model, slices, experiment.crops.size_px, experiment.loss)
        found.setdefault(network, experiment)
    return {experiment.name: experiment for experiment in found.values()}


NETWORKS = distinct_networks()
BACKBONES = {each.model.backbone for each in NETWORKS.values() if each.model.encoder != "volume"}


@pytest.mark.parametrize("backbone", sorted(BACKBONES))
def test_backbone_exists_in_timm_with_weights(backbone: str) -> None:
    config = timm.models.get_pretrained_cfg(backbone)
    assert config is not None
    assert config.hf_hub_id
    assert config.tag == (backbone.partition(".")[2] or config.tag)


def test_distinct_networks_of_the_log_are_covered() -> None:
    tried = {"exp001", "exp047", "exp084", "exp091", "exp092", "exp093", "exp101", "exp111"}
    tried |= {"exp113", "exp117", "exp118", "exp141", "exp154", "exp155", "exp156", "exp168"}
    assert tried <= set(NETWORKS)
    assert not {"exp002", "exp164", "exp187"} & set(NETWORKS)


def learn_a_step(experiment: Experiment) -> None:
    """Train for one step of AdamW on two random samples, one with an empty label; check weights."""
    torch.manual_seed(0)
    model = build_model(experiment, pretrained=False).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    count, size = experiment.slices.count, experiment.crops.size_px
    slices = torch.randint(256, (2, count, size, size), dtype=torch.uint8)
    present = torch.zeros(2, count, dtype=torch.bool)
    present[:, [0, count // 2, -1]] = True  # enough slices to learn from, few enough to be fast
    scores = model.slice_scores
    labels = Labels(
        torch.randint(len(GRADES), (2, len(CONDITIONS))),
        group=torch.randint(len(LEVELS), (2,)),
        slices=None if scores is None else annotated(present[:, None] & scores.marked),
    )
    labels.grades[1, 0] = EMPTY_LABEL
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    loss = build_loss(experiment)(model(slices, present), labels)
    loss.backward()
    optimiser.step()
    assert loss.isfinite()
    for name, value in model.named_parameters():
        assert value.grad is not None, name
        assert value.grad.isfinite().all(), name
        learnt = value.grad.abs() > 1e-5
        assert (value[learnt] != before[name][learnt]).all(), name
    assert model.eval()(slices, present).grades.isfinite().all()


def annotated(places: torch.Tensor) -> torch.Tensor:
    """Return equal probabilities of the places that are True, (n, heads, slices); 0 without any."""
    return places / places.sum(dim=-1, keepdim=True).clamp(min=1)


@pytest.mark.slow_training
@pytest.mark.parametrize("name", NETWORKS)
def test_network_trains_for_one_step(name: str) -> None:
    learn_a_step(NETWORKS[name])


def on_small_backbones(experiment: Experiment) -> Experiment:
    """Return the experiment with small backbones, layers and crops."""
    second = {"axial_backbone": "test_resnet"} if experiment.model.axial_backbone else {}
    model = {"backbone": "test_efficientnet_ln", "width": 8, "head_width": 8, "pretrained": False}
    if experiment.model.encoder == "volume":
        model |= {"backbone": "resnet10", "encoder_width": 4}
    return experiment.model_copy(
        update={
            "model": experiment.model.model_copy(update=model | second),
            "crops": experiment.crops.model_copy(update={"size_px": 32}),
        }
    )


def distinct_small_networks() -> dict[str, Experiment]:
    """Return the first experiment of each model and loss, ignoring backbones and sizes."""
    found: dict[object, Experiment] = {}
    for name in EXPERIMENTS.names():
        small = on_small_backbones(EXPERIMENTS.load(name))
        found.setdefault((small.model, small.loss), small)
    return {small.name: small for small in found.values()}


SMALL_NETWORKS = distinct_small_networks()


@pytest.mark.parametrize("name", SMALL_NETWORKS)
def test_model_and_loss_train_for_one_step_on_a_small_backbone(name: str) -> None:
    learn_a_step(SMALL_NETWORKS[name])


def test_lstm_per_head_is_tested_with_all_poolings_of_the_log() -> None:
    met = {each.model.slice_pool for each in SMALL_NETWORKS.values() if each.model.rnn_per_head}
    assert met >= {"mean", "attention", "mean_max", "range_mean", "mlp_attention"}
