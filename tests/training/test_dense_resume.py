"""A training on targets that are images resumes, and uses workers, to the same bits."""

from pathlib import Path

import pytest
import torch

from lsdc.errors import ResumeLaterError
from lsdc.training.losses.dense import DenseLoss
from lsdc.training.mixing import Mixing
from lsdc.training.models.dense.encoders import Layout
from lsdc.training.models.dense.model import DenseModel
from lsdc.training.samples import Samples
from lsdc.training.settings.augment import MixSettings
from lsdc.training.settings.dense import DenseLossSettings, DenseModelSettings
from tests.training.runs import SETTINGS, altered, run, same_weights

pytestmark = pytest.mark.usefixtures("one_thread")

DENSE = altered(SETTINGS, epochs=2, batch_size=4, accumulate=2, ema_decay=0.9, checkpoint_steps=1)
MIX = Mixing(MixSettings(mixup=0.3, cutmix=0.3, manifold_mixup=0.3), classes=1, per_pixel=True)


def build() -> DenseModel:
    torch.manual_seed(0)
    settings = DenseModelSettings(
        encoder="volume",
        backbone="resnet10",
        pretrained=False,
        encoder_width=4,
        width=8,
        decoder="unet",
        decoder_width=8,
        stride=4,
        dropout=0.3,
    )
    return DenseModel(settings, Layout(4, 1, (32, 32)), pretrained=False)


def train(
    samples: Samples, folder: Path, *, stop_after: int | None = None, workers: int = 0
) -> DenseModel:
    model, asked = build(), 0

    def stop_requested() -> bool:
        nonlocal asked
        asked += 1
        return stop_after is not None and asked >= stop_after

    run(
        model,
        samples,
        folder,
        settings=DENSE,
        mix=MIX,
        criterion=DenseLoss(DenseLossSettings(fbeta=1.0, label_smoothing=0.2)),
        score=lambda found: float(found.mean()),
        stop_requested=stop_requested,
        workers=workers,
    )
    return model


def test_a_stopped_training_resumes_to_the_same_bits(squares: Samples, tmp_path: Path) -> None:
    whole = train(squares, tmp_path / "whole")
    assert not same_weights(whole, build())
    with pytest.raises(ResumeLaterError):
        train(squares, tmp_path / "stopped", stop_after=2)
    assert same_weights(whole, train(squares, tmp_path / "stopped"))


@pytest.mark.forks
def test_workers_do_not_change_a_bit(squares: Samples, tmp_path: Path) -> None:
    alone = train(squares, tmp_path / "alone")
    assert same_weights(alone, train(squares, tmp_path / "beside", workers=2))
