"""Augmentation of tiles: labels move along, by the seed alone."""

import numpy as np
import pytest

from lsdc.challenges.ink.training.augment import TileAugment, cut_cells
from lsdc.training.samples import Labels, Sample
from tests.challenges.ink.training.planted import small

OFF = dict.fromkeys(
    (
        *("horizontal_flip", "vertical_flip", "quarter_turns", "shift_scale_rotate", "cutout"),
        *("brightness_contrast", "blur", "noise", "distortion", "layer_shuffle", "grid_cutout"),
    ),
    0.0,
)


def planted(size: int = 64, layers: int = 6) -> Sample:
    """Return a tile that is white where there is ink, in other shades by layer."""
    ink = np.zeros((size, size), dtype=bool)
    ink[4:20, 8:12] = ink[40:48, 30:60] = True
    slices = np.stack([ink * np.uint8(200 + layer) for layer in range(layers)])
    mask = np.ones((1, size, size), np.float32)
    mask[..., 50:] = 0
    return Sample(
        slices,
        np.ones(layers, dtype=bool),
        Labels(ink[np.newaxis].astype(np.float32), weights=mask),
    )


def augment(*, stride: int = 1, **chances: float) -> TileAugment:
    experiment = small(*(f"augment.{name}={chance}" for name, chance in (OFF | chances).items()))
    return TileAugment(experiment.augment, experiment.tiles, stride)


@pytest.mark.parametrize(
    ("setting", "outcomes"),
    [("horizontal_flip", 2), ("vertical_flip", 2), ("quarter_turns", 4)],
)
def test_the_label_of_what_is_turned_is_turned(setting: str, outcomes: int) -> None:
    change = augment(**{setting: 0.8})
    found = set()
    for seed in range(40):
        changed = change(planted(), seed)
        assert np.array_equal(changed.slices[0] > 0, changed.labels.grades[0] > 0)
        assert changed.labels.weights is not None
        assert changed.labels.weights.sum() == planted().labels.weights.sum()  # type: ignore[union-attr]
        found.add(changed.slices.tobytes())
    assert len(found) == outcomes


def test_labels_are_reduced_at_the_end() -> None:
    changed = augment(quarter_turns=1.0, stride=4)(planted(), 3)
    cells = (changed.slices[0] > 0).reshape(16, 4, 16, 4).mean(axis=(1, 3))
    assert changed.labels.grades.shape == (1, 16, 16)
    assert np.allclose(changed.labels.grades[0], cells)


def test_layers_are_shuffled_in_all_groups_alike() -> None:
    change, orders = augment(layer_shuffle=1.0), set()
    for seed in range(20):
        changed = change(planted(), seed)
        order = changed.slices.max(axis=(1, 2)) - 200
        groups = order.reshape(3, 2)
        assert (groups - np.array([[0], [2], [4]]) == groups[0]).all()
        assert np.array_equal(changed.labels.grades, planted().labels.grades)
        orders.add(tuple(order.tolist()))
    assert len(orders) == 2


def test_a_cut_blanks_whole_cells_and_their_ink() -> None:
    sample, sizes = planted(size=128), set()
    sample = sample._replace(slices=sample.slices + 1)
    for seed in range(30):
        cut = cut_cells(sample, np.random.default_rng(seed))
        gone = (cut.slices == 0).all(axis=0)
        rows, columns = np.flatnonzero(gone.any(axis=1)), np.flatnonzero(gone.any(axis=0))
        assert gone.sum() == len(rows) * len(columns)
        assert rows[0] % 32 == columns[0] % 32 == 0
        sizes.add((len(rows), len(columns)))
        expected = sample.labels.grades * ~gone
        assert np.array_equal(cut.labels.grades, expected)
    assert sizes == {(32, 32), (32, 64), (64, 32), (64, 64)}
    assert (sample.slices > 0).all()  # the sample itself is unchanged


def test_a_change_is_a_function_of_its_seed() -> None:
    names = (
        *("horizontal_flip", "quarter_turns", "layer_shuffle", "grid_cutout"),
        "shift_scale_rotate",
    )
    chances = dict.fromkeys(names, 0.5)
    one, other = augment(**chances), augment(**chances)
    for seed in (1, 2, 3):
        first = one(planted(), seed)
        assert np.array_equal(first.slices, other(planted(), seed).slices)
        assert np.array_equal(first.labels.grades, other(planted(), seed).labels.grades)
    assert not np.array_equal(one(planted(), 4).slices, one(planted(), 5).slices)


def test_one_change_does_not_affect_another() -> None:
    flips = {"horizontal_flip": 0.5, "vertical_flip": 0.5}
    alone, beside = augment(**flips), augment(**flips, layer_shuffle=1.0)
    for seed in range(8):
        one, other = alone(planted(), seed), beside(planted(), seed)
        assert np.array_equal(one.labels.grades, other.labels.grades)
