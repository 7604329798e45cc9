"""Several processes train a model to the same weights as one, up to rounding."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lsdc.errors import SettingsError
from lsdc.training.losses.graded import AnyWorst, Finding, GradedLoss
from lsdc.training.mixing import Mixing
from lsdc.training.models.model import SliceModel, Task
from lsdc.training.parallel.division import synchronise_batch_norms
from lsdc.training.parallel.world import ALONE, World
from lsdc.training.samples import Sample, Samples
from lsdc.training.settings.augment import MixSettings
from lsdc.training.settings.loss import LossSettings
from lsdc.training.settings.model import ModelSettings
from tests.training.parallel.together import require_equal, together, train
from tests.training.runs import SETTINGS, altered, in_studies, run, without_batch_norm
from tests.training.runs import build_model as small_model

pytestmark = [pytest.mark.forks, pytest.mark.usefixtures("one_thread")]

# Everything whose result could depend on what a process does not see: batches that do not divide
# evenly, accumulation, clipping, a frozen start, an average, and a best epoch.
EVERYTHING = altered(
    SETTINGS,
    epochs=2,
    batch_size=5,
    accumulate=2,
    ema_decay=0.9,
    max_norm=1.0,
    freeze_epochs=1,
    keep="loss",
    learning_rate=1e-3,
    backbone_learning_rate=3e-4,
)
MIX = Mixing(
    MixSettings(mixup=0.3, cutmix=0.3, manifold_mixup=0.3, mixup_alpha=0.4, cutmix_alpha=1.0),
    classes=3,
)
STUDIES = GradedLoss(
    LossSettings(labels="soft"),
    class_weights=(1.0, 2.0, 4.0),
    findings=[Finding((0,), 2.0), Finding((1,), 1.0)],
    average="findings",
    any_worst=AnyWorst(0, 1.0),
)


def build_model(**changes: Any) -> SliceModel:
    """Build a model with all that draws random numbers, the same at each call."""
    torch.manual_seed(0)
    settings = ModelSettings(
        backbone="test_convnext",  # stochastic depth in each block
        width=16,
        drop_path=0.3,
        slice_dropout=0.2,
        spatial_dropout=0.2,
        dropout=0.3,
        head_samples=2,
        head_context="transformer",
        **changes,
    )
    return SliceModel(settings, Task(4, (32, 32), heads=2, classes=3, items=24), pretrained=False)


@pytest.mark.parametrize("size", [2, 3])
def test_processes_train_to_the_weights_of_one(size: int, blobs: Samples, tmp_path: Path) -> None:
    train_here = partial(train, samples=blobs, model=build_model, settings=EVERYTHING, mix=MIX)
    one = train_here(ALONE, folder=tmp_path / "one")
    found = together(size, lambda world: train_here(world, folder=tmp_path / "several"))
    for other in found:
        require_equal(one, other)


def test_processes_learn_from_whole_studies_as_one_does(blobs: Samples, tmp_path: Path) -> None:
    """A batch has 1 to 14 samples, some fewer than the processes."""
    train_here = partial(
        train,
        samples=replace(blobs, members=np.sort(in_studies(blobs).members, axis=0)),
        model=partial(build_model, study_context="lstm"),
        settings=altered(SETTINGS, epochs=1, batch_by="study", batch_size=2, learning_rate=1e-3),
        criterion=STUDIES,
    )
    one = train_here(ALONE, folder=tmp_path / "one")
    for other in together(3, lambda world: train_here(world, folder=tmp_path / "several")):
        require_equal(one, other)


def test_each_sample_is_loaded_by_one_process_an_epoch(blobs: Samples, tmp_path: Path) -> None:
    repeats = np.tile([1, 1, 2], 8)

    def train_and_note(world: World) -> list[int]:
        loaded: list[int] = []

        def note(sample: Sample, _: int) -> Sample:
            (place,) = np.flatnonzero((blobs.slices == sample.slices).all(axis=(1, 2, 3)))
            loaded.append(int(place))
            return sample

        settings = altered(SETTINGS, epochs=1, batch_size=5)
        samples = replace(blobs, repeats=repeats)
        train(world, samples, tmp_path / "run", build_model, settings=settings, augment=note)
        return loaded

    shares = together(2, train_and_note)
    assert np.bincount(np.concatenate(shares)).tolist() == repeats.tolist()
    assert [len(share) for share in shares] == pytest.approx([16, 16], abs=4)


def test_float16_skips_the_same_updates_in_all_processes(blobs: Samples, tmp_path: Path) -> None:
    def build() -> nn.Module:
        model = without_batch_norm()
        with torch.no_grad():
            model.head.weight.mul_(100)  # the first gradients overflow
        return model

    settings = altered(SETTINGS, precision="float16")
    train_here = partial(train, samples=blobs, model=build, settings=settings)
    found = together(2, lambda world: train_here(world, folder=tmp_path / "several"))
    assert {np.isfinite(row["gradient_norm"]) for row in found[0].steps} == {True, False}
    require_equal(found[0], found[1], rounding=0.0)


def test_batch_norms_are_refused_where_they_cannot_be_synchronised(
    blobs: Samples, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=r"--processes 2: the backbone has batch norms.*GPUs"):
        run(small_model(), blobs, tmp_path, world=World(0, 2))


def test_batch_norms_of_a_gpu_are_synchronised() -> None:
    model = small_model()
    before = list(model.parameters())
    synchronise_batch_norms(model, World(0, 2), torch.device("cuda"))
    assert isinstance(model.backbone[1], nn.SyncBatchNorm)
    assert all(one is other for one, other in zip(before, model.parameters(), strict=True))
