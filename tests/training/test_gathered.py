"""Rows gathered from several rows of an array."""

import numpy as np
import pytest

from lsdc.training.frames import Gathered
from lsdc.training.samples import Labels, Samples, batch_of

ARRAY = np.arange(5 * 2 * 3 * 4, dtype=np.uint8).reshape(5, 2, 3, 4)
ROWS = np.array([[0, 0, 1], [0, 1, 2], [3, 4, 4]])


def test_rows_follow_each_other_as_slices() -> None:
    gathered = Gathered(ARRAY, ROWS)
    assert gathered.shape == (3, 6, 3, 4)
    assert np.array_equal(gathered[2], np.concatenate([ARRAY[3], ARRAY[4], ARRAY[4]]))


def test_weighted_rows_are_averaged_and_rounded() -> None:
    gathered = Gathered(ARRAY, ROWS, (0.2, 0.6, 0.2))
    assert gathered.shape == (3, 2, 3, 4)
    exact = 0.2 * ARRAY[3].astype(float) + 0.8 * ARRAY[4]
    assert gathered[2].dtype == np.uint8
    assert np.array_equal(gathered[2], np.round(exact).astype(np.uint8))
    floats = Gathered(ARRAY.astype(np.float32), ROWS, (0.5, 0.25, 0.25))
    assert floats[0].dtype == np.float32
    assert floats[0][0, 0, 1] == pytest.approx(0.75 * 1 + 0.25 * 25)


def test_samples_show_gathered_rows_as_they_show_those_of_an_array() -> None:
    labels = Labels(np.zeros((2, 1), np.int64))
    samples = Samples(
        slices=Gathered(ARRAY, ROWS),
        rows=np.array([2, 0]),
        present=np.ones((2, 6), bool),
        labels=labels,
        ids=("b", "a"),
    )
    batch = batch_of(samples, [0, 1])
    assert batch.slices.shape == (2, 6, 3, 4)
    assert np.array_equal(batch.slices[1].numpy(), Gathered(ARRAY, ROWS)[0])
