"""Several processes train a model of images to the same weights as one, up to rounding."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lsdc.errors import SettingsError
from lsdc.training.losses.dense import DenseLoss
from lsdc.training.mixing import Mixing
from lsdc.training.models.dense.encoders import Layout
from lsdc.training.models.dense.model import DenseModel
from lsdc.training.parallel.world import ALONE, World
from lsdc.training.samples import Sample, Samples
from lsdc.training.settings.augment import MixSettings
from lsdc.training.settings.dense import DenseLossSettings, DenseModelSettings
from tests.training.parallel.together import require_equal, together, train
from tests.training.runs import SETTINGS, altered, run

pytestmark = [pytest.mark.forks, pytest.mark.usefixtures("one_thread")]

# Batches that do not divide evenly, losses over all pixels of a batch, and norms over a batch
# behind the backbone.
EVERYTHING = altered(
    SETTINGS,
    epochs=2,
    batch_size=5,
    accumulate=2,
    ema_decay=0.9,
    max_norm=1.0,
    freeze_epochs=1,
    learning_rate=1e-3,
    backbone_learning_rate=3e-4,
)
MIX = Mixing(MixSettings(mixup=0.3, cutmix=0.3, manifold_mixup=0.3), classes=1, per_pixel=True)
LOSS = DenseLoss(DenseLossSettings(dice=1.0, fbeta=1.0, label_smoothing=0.2))
GROUPS = DenseModelSettings(
    backbone="test_convnext",  # stochastic depth in each block
    pretrained=False,
    drop_path=0.3,
    width=8,
    blocks=1,
    decoder="unet",
    decoder_width=8,
    stride=4,
    dropout=0.3,
)


class TenDrawn:
    """Ten samples an epoch, drawn anew."""

    def places(self, groups: NDArray[np.int64], random: np.random.Generator) -> list[int]:
        return sorted(random.permutation(len(groups))[:10].tolist())


def build(settings: DenseModelSettings = GROUPS) -> DenseModel:
    torch.manual_seed(0)
    return DenseModel(settings, Layout(2, 2, (32, 32)), pretrained=False)


@pytest.mark.parametrize("size", [2, 3])
def test_processes_train_to_the_weights_of_one(size: int, squares: Samples, tmp_path: Path) -> None:
    train_here = partial(
        train,
        samples=squares,
        model=build,
        settings=EVERYTHING,
        mix=MIX,
        criterion=LOSS,
        score=lambda found: float(found.mean()),
    )
    one = train_here(ALONE, folder=tmp_path / "one")
    for other in together(size, lambda world: train_here(world, folder=tmp_path / "several")):
        require_equal(one, other)


def test_each_drawn_sample_is_loaded_by_one_process_an_epoch(
    squares: Samples, tmp_path: Path
) -> None:
    def train_and_note(world: World, folder: str) -> list[int]:
        loaded: list[int] = []

        def note(sample: Sample, _: int) -> Sample:
            (place,) = np.flatnonzero((squares.slices == sample.slices).all(axis=(1, 2, 3)))
            loaded.append(int(place))
            return sample

        train(
            world,
            replace(
                squares,
                members=np.column_stack([np.zeros(16, int), np.arange(16)]),
                draw=TenDrawn(),
            ),
            tmp_path / folder,
            build,
            settings=altered(SETTINGS, epochs=1, batch_size=4),
            augment=note,
            criterion=LOSS,
        )
        return loaded

    alone = train_and_note(ALONE, "one")
    shares = together(2, partial(train_and_note, folder="several"))
    assert sorted(np.concatenate(shares).tolist()) == sorted(alone)
    assert len(set(alone)) == len(alone) == 10
    assert [len(share) for share in shares] == [5, 5]


def test_a_3d_encoder_with_batch_norms_is_refused_without_gpus(
    squares: Samples, tmp_path: Path
) -> None:
    settings = DenseModelSettings(
        encoder="volume", backbone="resnet10", pretrained=False, encoder_width=4, width=8
    )
    with pytest.raises(SettingsError, match=r"--processes 2: the backbone has batch norms.*GPUs"):
        run(build(settings), squares, tmp_path, world=World(0, 2), criterion=LOSS)
