from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from lsdc.challenges.lumbar.config.augment import AugmentConfig
from lsdc.challenges.lumbar.config.experiment import Experiment, SlicesConfig
from lsdc.challenges.lumbar.config.loss import LabelsConfig
from lsdc.challenges.lumbar.slices.slots import Part, list_parts, list_places
from lsdc.challenges.lumbar.training.augment import PatientAugment
from lsdc.challenges.lumbar.training.network import (
    build_loss,
    build_mixing,
    build_model,
    list_views,
    own_places,
    read_grades,
)
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS, Condition
from lsdc.training.samples import Batch, Labels, Sample

STILL = dict.fromkeys(("brightness_contrast", "blur", "noise", "distortion", "cutout"), 0.0)
SLICES = SlicesConfig(group_by="side")


def experiment_with(**parts: dict[str, object]) -> Experiment:
    model = {"backbone": "test_efficientnet_gn", "pretrained": False, "width": 8}
    parts["model"] = model | parts.get("model", {})
    return Experiment.model_validate({"name": "x", "crops": {"size_px": 32}, **parts})


def test_default_labels_are_all_conditions_and_levels() -> None:
    everything = LabelsConfig()
    assert everything.conditions == tuple(str(condition) for condition in CONDITIONS)
    assert everything.levels == tuple(str(level) for level in LEVELS)


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("axial_slices", [0, 3])
def test_own_places_show_the_condition(condition: Condition, axial_slices: int) -> None:
    places = list_places(SLICES.model_copy(update={"axial_slices": axial_slices}))
    parts = {places[number].part for number in own_places(condition, places)}
    side = {Part(condition.side)} if condition.side else {Part.MIDDLE}
    if condition.pooled == "subarticular":
        side = {Part.AXIAL} if axial_slices else side | {Part.MIDDLE}
    assert parts == side


def test_condition_without_own_slots_uses_all_slots() -> None:
    places = list_places(SlicesConfig(sagittal="even", side_slices=0, axial_slices=0))
    assert own_places(Condition.LEFT_NEURAL_FORAMINAL_NARROWING, places) == tuple(range(10))


def test_views_show_their_conditions() -> None:
    places = list_places(SLICES)
    shown = {
        places[view.places[0]].description: {CONDITIONS[head].pooled for head in view.heads}
        for view in list_views(places)
    }
    assert shown == {
        "Sagittal T1": {"foraminal"},
        "Sagittal T2/STIR": {"spinal"},
        "Axial T2": {"spinal", "subarticular"},
    }
    assert sorted(place for view in list_views(places) for place in view.places) == list(range(25))
    sagittal = list_views(list_places(SlicesConfig(axial_slices=0)))
    assert len(sagittal) == 2


def test_auxiliary_heads_are_trained_and_not_read_as_grades() -> None:
    experiment = experiment_with(
        loss={"view_weight": 0.5, "slice_weight": 0.5}, augment={"mixup": 1.0}
    )
    torch.manual_seed(0)
    model = build_model(experiment, pretrained=False)
    slices = torch.randint(256, (3, 25, 32, 32), dtype=torch.uint8)
    marks = torch.eye(25)[torch.tensor([[12, 0, 4, 23, 24]] * 3)]
    labels = Labels(torch.tensor([[0, 1, 2, -100, 0]] * 3), slices=marks)
    batch = Batch([0, 1, 2], slices, torch.ones(3, 25, dtype=torch.bool), labels)
    mixed = build_mixing(experiment)(batch, 3)
    outputs = model(mixed.slices, mixed.present)
    assert outputs.views is not None
    assert outputs.views.shape == (3, 2 + 1 + 3, 3)
    build_loss(experiment)(outputs, mixed.labels).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
    assert read_grades(experiment, outputs.grades).shape == (3, 5, 3)


def test_second_backbone_sees_only_axial_slices() -> None:
    torch.manual_seed(0)
    model = build_model(
        experiment_with(model={"axial_backbone": "test_resnet", "slice_pool": "mean"}),
        pretrained=False,
    )
    sagittal, axial = model.encoders
    axial_places = {
        number for number, place in enumerate(list_places(SlicesConfig())) if place.part == "axial"
    }
    assert set(axial.images.flatten().tolist()) == axial_places
    assert set(sagittal.images.flatten().tolist()).isdisjoint(axial_places)


@pytest.mark.parametrize("backbone", ["test_efficientnet_gn", "test_vit"])
def test_models_take_rectangular_crops(backbone: str) -> None:
    windows = {"sagittal_window_mm": [30, 40], "axial_window_mm": [45, 60], "size_px": 64}
    experiment = experiment_with(crops=windows, model={"backbone": backbone})
    assert experiment.crops.shape == (64, 48)
    model = build_model(experiment, pretrained=False).eval()
    slices = torch.randint(256, (2, 25, 64, 48), dtype=torch.uint8)
    assert model(slices, torch.ones(2, 25, dtype=torch.bool)).grades.isfinite().all()


def test_level_head_is_trained_mixed_and_not_read_as_grades() -> None:
    experiment = experiment_with(loss={"level_weight": 0.3}, augment={"mixup": 1.0})
    torch.manual_seed(0)
    model = build_model(experiment, pretrained=False)
    slices = torch.randint(256, (3, 25, 32, 32), dtype=torch.uint8)
    grades = torch.tensor([[0, 1, 2, -100, 0], [0] * 5, [2] * 5])
    labels = Labels(grades, group=torch.tensor([4, 0, 1]))
    batch = Batch([0, 1, 2], slices, torch.ones(3, 25, dtype=torch.bool), labels)
    mixed = build_mixing(experiment)(batch, 3)
    assert mixed.labels.grades.shape == (3, 5, 3)
    assert mixed.labels.group is not None
    assert mixed.labels.group.shape == (3, 5)
    outputs = model(mixed.slices, mixed.present)
    build_loss(experiment)(outputs, mixed.labels).backward()
    assert model.group_head.weight.grad.any()
    shares = read_grades(experiment, outputs.grades)
    assert shares.shape == (3, 5, 3)
    torch.testing.assert_close(shares.sum(dim=-1), torch.ones(3, 5))


def augmented(seed: int = 0, **probabilities: float) -> tuple[Sample, Sample]:
    """Return a sample of random slices without the fifth one, and the augmented sample."""
    random = np.random.default_rng(1)
    slices = random.integers(0, 256, (25, 16, 16), dtype=np.uint8)
    marks = np.eye(25, dtype=np.float32)[[20, 2, 12, 22, 24]]
    labels = Labels(np.array([0, 1, 2, 1, 0]), np.array(3), marks)
    sample = Sample(slices, np.arange(25) != 4, labels)
    augment = AugmentConfig.model_validate(STILL | probabilities)
    return sample, PatientAugment(augment, SLICES)(sample, seed)


def test_flips_never_exchange_sides() -> None:
    sample, front = augmented(horizontal_flip=1.0)
    assert np.array_equal(front.slices[:22], sample.slices[:22, :, ::-1])
    assert np.array_equal(
        front.slices[22:], sample.slices[22:]
    )  # axial slices, whose columns are the sides
    sample, head = augmented(vertical_flip=1.0)
    assert np.array_equal(head.slices, sample.slices[:, ::-1])
    for flipped in (front, head):
        assert np.array_equal(flipped.labels.grades, sample.labels.grades)
        assert np.array_equal(flipped.present, sample.present)


def test_mirror_keeps_the_level() -> None:
    _, mirrored = augmented(mirror=1.0)
    assert mirrored.labels.grades.tolist() == [0, 2, 1, 0, 1]
    assert mirrored.labels.group == 3


@pytest.mark.parametrize("change", ["mirror", "slice_shift", "slice_shuffle"])
def test_marks_move_with_their_slices(change: str) -> None:
    sides = [CONDITIONS.index(condition.mirrored) for condition in CONDITIONS]
    for seed in range(6):
        sample, moved = augmented(seed, **{change: 1.0})
        known = {each.tobytes(): place for place, each in enumerate(sample.slices)}
        known |= {each[:, ::-1].tobytes(): place for place, each in enumerate(sample.slices)}
        assert sample.labels.slices is not None
        assert moved.labels.slices is not None
        came_from = [known.get(each.tobytes()) for each in moved.slices]
        for head, marks in enumerate(moved.labels.slices):
            own = sample.labels.slices[sides[head] if change == "mirror" else head]
            expected = [0 if place is None else own[place] for place in came_from]
            assert marks.tolist() == expected
        kept = [place for place in came_from if place is not None]
        assert moved.labels.slices.sum() == sample.labels.slices[:, kept].sum()


@pytest.mark.parametrize("change", ["slice_shift", "slice_shuffle"])
def test_slices_change_slots_only_within_a_part(change: str) -> None:
    known = {}
    for seed in range(6):
        sample, moved = augmented(seed, **{change: 1.0})
        known = {slice_.tobytes(): number for number, slice_ in enumerate(sample.slices)}
        assert not np.array_equal(moved.slices, sample.slices)
        for part in list_parts(SLICES):
            from_ = {known[moved.slices[place].tobytes()] for place in part if moved.present[place]}
            assert from_ <= set(part)
            assert 4 not in from_
        assert moved.present.sum() == (24 if change == "slice_shuffle" else 17)


def test_each_backbone_loads_its_weights_from_a_folder(tmp_path: Path) -> None:
    names = ("test_efficientnet_gn.r160_in1k", "test_resnet.r160_in1k")
    experiment = experiment_with(model={"backbone": names[0], "axial_backbone": names[1]})
    for name in names:
        published = timm.create_model(name, pretrained=False)
        save_file(published.state_dict(), tmp_path / f"{name}.safetensors")
    one, other = (build_model(experiment, pretrained=True, weights=tmp_path) for _ in range(2))
    for name, first, second in zip(names, one.encoders, other.encoders, strict=True):
        there = load_file(tmp_path / f"{name}.safetensors")
        for key, tensor in first.get_submodule("backbone").state_dict().items():
            assert torch.equal(tensor, second.get_submodule("backbone").state_dict()[key])
            assert tensor.shape != there[key].shape or torch.equal(tensor, there[key])
