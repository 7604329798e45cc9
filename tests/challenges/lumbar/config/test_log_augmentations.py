"""The lab log's augmentations: each runs with the settings of its entry."""

import numpy as np
import pytest
import torch

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.challenges.lumbar.slices.slots import list_places
from lsdc.challenges.lumbar.training.augment import PatientAugment
from lsdc.challenges.lumbar.training.network import build_mixing
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADES
from lsdc.training.samples import Batch, Labels, Sample

SEEDS = range(8)
CHANGES = (
    "mirror",
    "horizontal_flip",
    "vertical_flip",
    "shift_scale_rotate",
    "brightness_contrast",
    "blur",
    "noise",
    "distortion",
    "cutout",
    "slice_shift",
    "slice_shuffle",
)


def distinct_augmentations() -> dict[str, Experiment]:
    """Return the first experiment of each combination of augmentation and slots."""
    found: dict[object, Experiment] = {}
    for name in EXPERIMENTS.names():
        experiment = EXPERIMENTS.load(name)
        found.setdefault((experiment.augment, *list_places(experiment.slices)), experiment)
    return {experiment.name: experiment for experiment in found.values()}


AUGMENTATIONS = distinct_augmentations()

each_augmentation = pytest.mark.parametrize("name", AUGMENTATIONS)


def sample_of(experiment: Experiment) -> Sample:
    random = np.random.default_rng(0)
    count = experiment.slices.count
    slices = random.integers(0, 256, (count, 32, 32), dtype=np.uint8)
    labels = Labels(random.integers(len(GRADES), size=len(CONDITIONS)))
    return Sample(slices, np.arange(count) != 1, labels)


@each_augmentation
def test_augmentation_is_determined_by_the_seed(name: str) -> None:
    experiment = AUGMENTATIONS[name]
    sample = sample_of(experiment)
    augment = PatientAugment(experiment.augment, experiment.slices)
    changed = [augment(sample, seed) for seed in SEEDS]
    for seed, each in zip(SEEDS, changed, strict=True):
        assert (each.slices.shape, each.slices.dtype) == (sample.slices.shape, np.uint8)
        assert sorted(each.labels.grades) == sorted(sample.labels.grades)
        assert np.array_equal(augment(sample, seed).slices, each.slices)
    asked = any(getattr(experiment.augment, change) for change in CHANGES)
    assert any(not np.array_equal(each.slices, sample.slices) for each in changed) == asked


@each_augmentation
def test_mixed_labels_sum_to_one(name: str) -> None:
    experiment = AUGMENTATIONS[name]
    sample = sample_of(experiment)
    labels = Labels(torch.tensor([[0, 1, 2, 0, 1], [2, 2, 1, 0, 0]]))
    slices = torch.stack([torch.from_numpy(sample.slices), 255 - torch.from_numpy(sample.slices)])
    present = torch.from_numpy(sample.present).repeat(2, 1)
    batch, mix = Batch([0, 1], slices, present, labels), build_mixing(experiment)
    mixed = [mix(batch, seed) for seed in range(32)]
    kept = [each for each in mixed if each is batch]
    for each in mixed:
        if each is not batch:
            sums = each.labels.grades.sum(dim=-1)
            torch.testing.assert_close(sums, torch.ones(2, len(CONDITIONS)))
            assert each.slices.shape == slices.shape
    share = experiment.augment.mixup + experiment.augment.cutmix
    assert abs(len(kept) / len(mixed) - (1 - share)) < 0.3
