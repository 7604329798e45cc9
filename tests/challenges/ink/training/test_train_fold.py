"""Training of a fold, once, by its child process; trials, and the prediction of tiles."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from lsdc.challenges.ink.training import train_fold_child, trial_child
from lsdc.challenges.ink.training.network import build_network
from lsdc.challenges.ink.training.predict import load_networks, predict_tiles
from lsdc.challenges.ink.training.train_fold import FoldJob
from lsdc.challenges.ink.training.trial import TrialJob
from lsdc.challenges.ink.volumes.volume import Volume
from lsdc.errors import SettingsError
from lsdc.jobs.fold import train_fold
from lsdc.training.checkpoint import save_weights
from lsdc.training.process import ignore
from lsdc.training.trained_fold import FACTS, HISTORY, STEPS, WEIGHTS
from tests.challenges.ink.training.planted import SIZE, WHOLE, small, write_split

CPU = torch.device("cpu")
IN_3D = (
    *("model.encoder=volume", "model.backbone=resnet10", "model.encoder_width=4"),
    *("model.blocks=3", "model.depth_pool=max"),
)
pytestmark = pytest.mark.usefixtures("one_thread")


def job_of(volumes: Path, folder: Path, *settings: str, **changes: Any) -> FoldJob:
    common = {
        "fold": 0,
        "out": folder / "fold-0",
        "identity": "one",
        "seed": 5,
        "device": "cpu",
        "threads": 1,
        "workers": 0,
        "volumes": volumes,
        **write_split(folder, WHOLE),
    }
    return FoldJob(experiment=small(*settings), **(common | changes))


def test_a_fold_is_trained_once_by_its_child(volumes: Path, tmp_path: Path) -> None:
    job, log = job_of(volumes, tmp_path, "training.epochs=2"), tmp_path / "log"
    train_fold(job, log=log, on_event=ignore)
    assert pl.read_parquet(job.out / HISTORY)["epoch"].to_list() == [1, 2]
    facts = json.loads((job.out / FACTS).read_text())
    assert facts["tiles"] > 0
    assert not (job.out / "resume.pt").exists()
    written = (job.out / WEIGHTS).stat().st_mtime_ns, log.read_text()
    # Other tiles of the prediction leave the network as it is.
    train_fold(
        job.model_copy(update={"experiment": small("training.epochs=2", "inference.stride_px=8")}),
        log=log,
        on_event=ignore,
    )
    assert written == ((job.out / WEIGHTS).stat().st_mtime_ns, log.read_text())


def test_planted_ink_is_learnt(volumes: Path, tmp_path: Path) -> None:
    settings = ["training.epochs=8", "training.learning_rate=0.01", "loss.dice=1.0"]
    job = job_of(volumes, tmp_path, *settings, "model.width=32", "model.decoder_width=16")
    job.out.mkdir()
    train_fold_child.work(job, ignore)
    steps, history = pl.read_parquet(job.out / STEPS), pl.read_parquet(job.out / HISTORY)
    assert steps["loss"][-1] < 0.6 * steps["loss"][0]
    assert history["score"][-1] < 0.25  # 1 - F0.5; that of all ones in the mask is above 0.6
    # The trained network finds the ink of the fold that it has not seen.
    (network,) = load_networks([job.out], job.experiment, device=CPU)
    volume = Volume.open(volumes / "1")
    window = slice(job.experiment.tiles.first_layer, job.experiment.tiles.end_layer)
    corners = [(row, column) for row in (0, 40, 80) for column in (0, 32)]
    tiles = np.stack([volume.tile(*corner, SIZE)[:, :, window] for corner in corners])
    found = predict_tiles(network, tiles.transpose(0, 3, 1, 2), job.experiment, device=CPU)
    truth = np.stack([volume.label_tile(*corner, SIZE) for corner in corners])
    assert found.shape == truth.shape
    assert found[truth].mean() - found[~truth].mean() > 0.5


def test_a_tile_is_predicted_alike_beside_others_and_in_any_type(tmp_path: Path) -> None:
    experiment = small()
    save_weights(tmp_path / WEIGHTS, build_network(experiment, pretrained=False).state_dict())
    (network,) = load_networks([tmp_path], experiment, device=CPU)
    tiles = np.random.default_rng(0).integers(0, 256, (3, 6, SIZE, SIZE), dtype=np.uint8)
    found = predict_tiles(network, tiles, experiment, device=CPU)
    assert found.dtype == np.float32
    for number, tile in enumerate(tiles):
        alone = predict_tiles(network, tile[np.newaxis], experiment, device=CPU)
        assert np.allclose(alone[0], found[number], atol=1e-5)
    for same in (tiles.astype(np.uint16) * 257, tiles.astype(np.float32) / 255):
        assert np.allclose(predict_tiles(network, same, experiment, device=CPU), found, atol=1e-5)


def try_here(*settings: str) -> None:
    """Try a network in this process, which has already loaded torch."""
    experiment = small(*settings)
    job = TrialJob(experiment=experiment, pretrained=False, device="cpu", threads=1)
    trial_child.work(job, ignore)


def test_trainable_networks_pass() -> None:
    try_here()
    try_here(*IN_3D)


def test_networks_that_do_not_fit_the_tiles_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"maps of test_vit2 have the strides 16"):
        try_here("model.backbone=test_vit2")
    with pytest.raises(SettingsError, match="timm has no model 'resnet19'"):
        try_here("model.backbone=resnet19")
