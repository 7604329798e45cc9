"""Tiles as samples: which an epoch shows, their layers, labels and seeds."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lsdc.challenges.ink.config.experiment import Experiment
from lsdc.challenges.ink.training.augment import TileAugment
from lsdc.challenges.ink.training.fold_data import FoldData, read_fold
from lsdc.challenges.ink.training.samples import TileSamples, reduce_labels
from lsdc.challenges.ink.volumes.volume import Form, Volume
from lsdc.errors import StageError
from lsdc.training.samples import Batch, TrainingSteps
from tests.challenges.ink.training.planted import (
    BANDS,
    LAYERS,
    ROWS,
    SIZE,
    WHOLE,
    plant,
    small,
    write_split,
)


def fold_of(
    volumes: Path, folder: Path, experiment: Experiment, fold: int = 0, bands: object = WHOLE
) -> FoldData:
    return read_fold(experiment, fold, volumes=volumes, **write_split(folder, bands))  # type: ignore[arg-type]


def epoch_of(
    samples: TileSamples, experiment: Experiment, epoch: int, workers: int = 0
) -> list[Batch]:
    steps = TrainingSteps(
        samples,
        TileAugment(experiment.augment, experiment.tiles, experiment.model.stride),
        batch_size=8,
        accumulate=1,
        seed=3,
        workers=workers,
    )
    return [batch for step in steps.of_epoch(epoch) for batch in step]


def test_training_keeps_the_gap_to_the_fold(volumes: Path, tmp_path: Path) -> None:
    data = fold_of(volumes, tmp_path, small("split.gap_px=20"), fold=1, bands=BANDS)
    places = data.training.places
    of_same = places.where(np.array([name.startswith("1") for name in data.training.ids]))
    assert len(of_same)
    assert (of_same.row + SIZE).max() == 96 - 20
    scored = data.validation.places
    assert scored.row.min() == 96
    assert scored.first_row.tolist() == [96] * len(scored)


def test_tiles_with_too_little_mask_are_not_used(volumes: Path, tmp_path: Path) -> None:
    few = fold_of(volumes, tmp_path, small("sampling.min_mask=1.0")).training.places
    more = fold_of(volumes, tmp_path, small("sampling.min_mask=0.0")).training.places
    assert (few.mask == SIZE**2).all()
    assert (few.column <= 64 - SIZE).all()
    assert more.mask.min() > 0  # without any, there is nothing to learn
    assert len(more) > len(few)


def test_validation_tiles_have_each_pixel_of_the_mask_once(volumes: Path, tmp_path: Path) -> None:
    data = fold_of(volumes, tmp_path, small(), fold=1, bands=BANDS)
    labels = data.validation.shown_labels
    assert labels.weights is not None
    volume = Volume.open(volumes / "1")
    assert volume.labels is not None
    assert labels.weights.sum() * 4**2 == pytest.approx(volume.mask[96:].sum())
    inked = (labels.grades * labels.weights).sum() * 4**2
    assert inked == pytest.approx(volume.labels[96:].sum())


def test_a_fold_without_tiles_says_what_to_change(volumes: Path, tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"0 tiles of 192 px to train on .* lower tiles\.size_px"):
        fold_of(volumes, tmp_path, small("tiles.size_px=192"))


def test_each_epoch_draws_other_tiles(volumes: Path, tmp_path: Path) -> None:
    samples = fold_of(volumes, tmp_path, small("sampling.tiles_an_epoch=16")).training
    shown = [
        [place for batch in epoch_of(samples, small(), epoch) for place in batch.places]
        for epoch in (1, 2, 1)
    ]
    assert all(len(set(epoch)) == 16 for epoch in shown)
    assert shown[0] == shown[2]
    assert set(shown[0]) != set(shown[1])


def test_tiles_without_ink_are_drawn_as_often_as_asked(volumes: Path, tmp_path: Path) -> None:
    settings = ["sampling.tiles_an_epoch=9", "sampling.empty_per_inked=0.5", "sampling.stride_px=4"]
    samples = fold_of(volumes, tmp_path, small(*settings)).training
    shown = [place for batch in epoch_of(samples, small(), 1) for place in batch.places]
    assert Counter((samples.places.ink[shown] > 0).tolist()) == {True: 6, False: 3}


def counting_volume() -> Volume:
    """Return a volume whose pixels are the number of their layer, and whose label is a corner."""
    pixels = np.broadcast_to(np.arange(LAYERS, dtype=np.uint8), (64, 64, LAYERS)).copy()
    ink = np.zeros((64, 64), dtype=bool)
    ink[:10, :14] = True
    form = Form("1", 64, 64, LAYERS, 8)
    return Volume(form, pixels, np.ones((64, 64), dtype=bool), ink)


def test_the_window_of_layers_is_shifted_by_the_seed_alone(volumes: Path, tmp_path: Path) -> None:
    volume = counting_volume()
    samples = fold_of(volumes, tmp_path, small("augment.layer_shift=0.5")).training
    samples = replace(samples, volumes=(volume, volume))
    assert samples.show(0).slices[:, 0, 0].tolist() == [3, 4, 5, 6, 7, 8]
    firsts = Counter()
    for seed in range(300):
        layers = samples.show(0, seed).slices[:, 5, 7].tolist()
        assert layers == [*range(layers[0], layers[0] + 6)]
        assert layers == samples.show(1, seed).slices[:, 5, 7].tolist()
        firsts[layers[0] - 3] += 1
    assert set(firsts) == {-2, -1, 0, 1, 2}
    assert 150 < firsts[0] < 210  # half, and a fifth of the rest
    assert all(15 <= firsts[shift] <= 50 for shift in (-2, -1, 1, 2))


def test_16_bits_become_shares_of_white(volumes: Path, tmp_path: Path) -> None:
    eight, sixteen = (
        fold_of(plant(tmp_path / f"{bits}", bits=bits), tmp_path, small(), fold=0).training
        for bits in (8, 16)
    )
    one, other = eight.show(7).slices, sixteen.show(7).slices
    assert one.dtype == np.uint8
    assert other.dtype == np.float32
    assert np.allclose(one / 255, other, atol=1 / 255)


def test_labels_are_reduced_by_area() -> None:
    label = np.zeros((1, 8, 8), np.float32)
    label[0, :3, :2] = 1
    weight = np.ones((1, 8, 8), np.float32)
    weight[0, 4:] = 0
    grades, weights = reduce_labels((label, weight), 4)
    assert grades.tolist() == [[[6 / 16, 0], [0, 0]]]
    assert weights.tolist() == [[[1, 1], [0, 0]]]


def test_ids_name_fragment_and_corner(volumes: Path, tmp_path: Path) -> None:
    samples = fold_of(volumes, tmp_path, small()).training
    assert samples.ids[0] == "2 (0, 0)"
    assert len(samples.ids) == len(samples)
    assert samples.places.row.max() == ROWS - SIZE


@pytest.mark.forks
@pytest.mark.parametrize("workers", [2])
def test_tiles_do_not_depend_on_workers(workers: int, volumes: Path, tmp_path: Path) -> None:
    settings = [
        "sampling.tiles_an_epoch=20",
        "augment.layer_shift=0.5",
        "augment.quarter_turns=0.9",
        "augment.layer_shuffle=0.3",
        "augment.grid_cutout=0.5",
        "augment.shift_scale_rotate=0.9",
        "augment.elastic=0.5",
        "augment.optical=0.5",
    ]
    experiment = small(*settings)
    samples = fold_of(volumes, tmp_path, experiment).training
    alone, beside = (epoch_of(samples, experiment, 2, each) for each in (0, workers))
    assert len(alone) == len(beside) == 3
    for one, other in zip(alone, beside, strict=True):
        assert one.places == other.places
        assert torch.equal(one.slices, other.slices)
        assert torch.equal(one.labels.grades, other.labels.grades)
        assert one.labels.weights is not None
        assert other.labels.weights is not None
        assert torch.equal(one.labels.weights, other.labels.weights)
