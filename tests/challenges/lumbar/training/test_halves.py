"""The halves of a sample that are mixed: slices of a side, and half of each axial slice."""

import torch

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.slices.slots import list_places
from lsdc.challenges.lumbar.training.halves import build_half
from lsdc.challenges.lumbar.training.network import build_mixing, own_places
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, Side
from lsdc.training.mixing import Half
from lsdc.training.samples import Batch, Labels

CANAL, LEFT_FORAMEN, RIGHT_FORAMEN, LEFT_ZONE, RIGHT_ZONE = range(5)
SLICES = {"side_slices": 1, "middle_slices": 1, "axial_slices": 2, "t2_sides": False}
# T1 left, T1 middle, T1 right, T2 middle, axial 1, axial 2


def experiment_of(**parts: object) -> Experiment:
    crops = {"size_px": [16, 32]}
    return Experiment.model_validate({"name": "x", "slices": SLICES, "crops": crops, **parts})


def half(side: Side, **parts: object) -> Half:
    experiment = experiment_of(**parts)
    places = list_places(experiment.slices)
    own = [own_places(condition, places) for condition in CONDITIONS]
    return build_half(side, experiment, own)


def test_left_half_is_the_left_slices_and_the_right_of_axial_images() -> None:
    columns = half(Side.LEFT).columns
    assert columns.shape == (6, 16)
    assert columns.float().mean(dim=1).tolist() == [1, 0, 0, 0, 0.5, 0.5]
    assert columns[4].tolist() == [False] * 8 + [True] * 8
    assert torch.equal(columns[:, :8][4:] | half(Side.RIGHT).columns[:, :8][4:], ~columns[4:, :8])


def test_labels_of_the_half_are_wholly_in_it_and_those_of_the_other_are_not() -> None:
    left = half(Side.LEFT)
    share = (left.rests_on * left.within).sum(dim=1) / left.rests_on.sum(dim=1)
    assert share[[LEFT_FORAMEN, LEFT_ZONE]].tolist() == [1, 1]
    assert share[[RIGHT_FORAMEN, RIGHT_ZONE]].tolist() == [0, 0]
    assert share[CANAL] == (0 + 0 + 0.5 + 0.5) / 4  # of two middle and two axial slices


def test_slices_at_equal_steps_have_halves_of_the_sequence() -> None:
    even = {"sagittal": "even", "side_slices": 0, "middle_slices": 4, "axial_slices": 0}
    left = half(Side.LEFT, slices={**even, "t1_middle": False})
    assert left.columns[:, 0].tolist() == [True, True, False, False]
    share = (left.rests_on * left.within).sum(dim=1) / left.rests_on.sum(dim=1)
    assert share.tolist() == [0.5, 1, 0, 1, 0]


def test_exchanged_half_brings_its_labels() -> None:
    """Grey values name the samples; the label of a side is that of the sample it shows."""
    experiment = experiment_of(augment={"half_cutmix": 1.0}, loss={"level_weight": 0.1})
    mixing = build_mixing(experiment)
    slices = torch.arange(3, dtype=torch.uint8).reshape(3, 1, 1, 1).expand(3, 6, 32, 16).clone()
    labels = Labels(torch.arange(3).unsqueeze(1).repeat(1, 5), torch.arange(3))
    batch = Batch([0, 1, 2], slices, torch.ones(3, 6, dtype=torch.bool), labels)
    seen = set()
    for seed in range(20):
        mixed = mixing(batch, seed)
        shown = mixed.slices[:, :, 0]  # (b, s, w)
        foramina = torch.stack([shown[:, 0, 0], shown[:, 2, 0]], dim=1)
        zones = torch.stack([shown[:, 4, -1], shown[:, 4, 0]], dim=1)  # left is on the right
        sides = mixed.labels.grades[:, [LEFT_FORAMEN, RIGHT_FORAMEN, LEFT_ZONE, RIGHT_ZONE]]
        assert torch.equal(sides.argmax(dim=-1), torch.cat([foramina, zones], dim=1).long())
        torch.testing.assert_close(sides.max(dim=-1).values, torch.ones(3, 4))
        assert torch.equal(shown[:, 1], slices[:, 1, 0])
        canal = mixed.labels.grades[range(3), CANAL, range(3)]
        assert ((canal == 1) | torch.isclose(canal, torch.tensor(0.75))).all()
        assert mixed.labels.group is not None
        group = mixed.labels.group[range(3), range(3)]  # one slice, half of two
        assert ((group == 1) | torch.isclose(group, torch.tensor(4 / 6))).all()
        moved = foramina != torch.arange(3).unsqueeze(1)
        seen.update(map(tuple, moved.any(dim=0, keepdim=True).tolist()))
    assert {(True, False), (False, True)} <= seen
