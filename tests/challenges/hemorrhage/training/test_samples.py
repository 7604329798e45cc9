"""Slices as samples: windows and neighbours as channels, labels, and what an epoch shows."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.hemorrhage.training.fold_data import FoldData, read_fold
from lsdc.challenges.hemorrhage.training.samples import (
    as_samples,
    drawing_weights,
    neighbour_rows,
    read_slices,
)
from lsdc.challenges.hemorrhage.training.stacks import stacks_of
from lsdc.challenges.hemorrhage.training.vectors import steps
from lsdc.errors import DataError, StageError
from tests.challenges.hemorrhage.training.planted import NAMES, Data, small


def read(data: Data, *settings: str) -> FoldData:
    return read_fold(
        small(*settings),
        0,
        slices=data.root,
        labels=data.labels,
        folds=data.folds,
        holdout=data.holdout,
    )


def test_neighbours_follow_the_stack_whatever_the_order_of_rows(data: Data, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    table = read_slices(data.root)
    places = random.permutation(len(table))
    shuffled = table.with_columns(row=pl.Series(places, dtype=pl.Int32)).sort("row")
    found = neighbour_rows(shuffled, (-2, 0, 1))
    image = shuffled["image_id"].to_numpy()
    for row in range(len(table)):
        number = int(image[row].removeprefix("ID_"), 16)
        study, place = divmod(number, 6)
        around = [study * 6 + min(max(place + offset, 0), 5) for offset in (-2, 0, 1)]
        assert image[found[row]].tolist() == [f"ID_{each:09x}" for each in around]


def test_channels_are_the_windows_of_each_neighbour_or_of_their_mean(data: Data) -> None:
    table, stored = read_slices(data.root), np.load(data.root / "slices.npy")
    beside = as_samples(data.root, table, small("model.neighbours=[-1, 0, 1]"))
    assert np.array_equal(beside[8].slices, stored[[7, 8, 9], 0])
    assert np.array_equal(beside[6].slices, stored[[6, 6, 7], 0])  # the first of the study
    assert np.array_equal(beside[11].slices, stored[[10, 11, 11], 0])
    same = as_samples(data.root, table, small("model.neighbours=[0, 0, 0]"))
    assert np.array_equal(same[8].slices, stored[[8, 8, 8], 0])
    weighted = small("model.neighbours=[-1, 0, 1]", "model.neighbour_weights=[0.2, 0.6, 0.2]")
    mean = as_samples(data.root, table, weighted)[8].slices
    exact = np.tensordot([0.2, 0.6, 0.2], stored[[7, 8, 9], 0], axes=1)
    assert np.abs(mean[0] - exact).max() <= 0.51
    assert weighted.channels == 1


def test_other_windows_than_the_stored_ones_are_refused(data: Data) -> None:
    experiment = small("slices.windows=[[40, 80], [80, 200]]")
    with pytest.raises(DataError, match=r"slices.npy has 60 slices of shape \(1, 32, 32\)"):
        as_samples(data.root, read_slices(data.root), experiment)


def test_samples_have_the_labels_of_their_images_in_any_order(data: Data) -> None:
    labels = pl.read_parquet(data.labels)
    table = read_slices(data.root)[[5, 2, 9]]
    found = as_samples(data.root, table, small(), labels.sample(fraction=1, shuffle=True, seed=1))
    assert found.labels.grades.shape == (3, 1, 6)
    assert np.array_equal(found.labels.grades[:, 0], labels[[5, 2, 9]].select(NAMES).to_numpy())
    missing = as_samples(data.root, table, small())
    assert np.isnan(missing.labels.grades).all()


def test_empty_slices_are_predicted_and_not_trained_on(data: Data) -> None:
    fold = read(data)
    assert len(fold.validation) == 4 * 6
    assert len(fold.training) == 5 * 5
    assert len(read(data, "sampling.min_content=0").training) == 5 * 6
    with pytest.raises(StageError, match=r"lower sampling\.min_content"):
        _ = read(data, "sampling.min_content=0.5").training


def test_rare_slices_are_repeated_or_drawn_more_often(data: Data) -> None:
    times = "sampling.oversample=[1, 1, 1, 1, 4, 1]"
    training = read(data, times).training
    assert training.repeats is not None
    subdural = training.labels.grades[:, 0, NAMES.index("subdural")] == 1
    assert set(training.repeats[subdural]) == {4}
    assert set(training.repeats[~subdural]) == {1}
    drawn = read(data, times, "sampling.slices_a_study=2").training
    assert drawn.repeats is None
    assert drawn.draw is not None
    assert set(drawn.draw.weights[subdural]) == {4}
    assert len(drawn.units_by("sample")) == 5 * 2


def test_middle_slices_are_likelier_by_the_factor_asked_for() -> None:
    table = pl.DataFrame({"stack": [0] * 5 + [1], "order": [0, 1, 2, 3, 4, 9]})
    found = drawing_weights(table, np.ones(6, np.int64), middle=3.0)
    assert found.tolist() == [1, 2, 3, 2, 1, 3]


def test_stacks_are_padded_and_ordered(data: Data) -> None:
    table = read_slices(data.root).filter(pl.col("row") != 3).sort("image_id", descending=True)
    table = table.with_columns(pl.col("step_mm").fill_null(7.0))
    stacks = stacks_of(table, table.filter(pl.col("row").is_in([0, 8])))
    assert stacks.rows.tolist() == [[0, 1, 2, 4, 5, 5], [6, 7, 8, 9, 10, 11]]
    assert stacks.present.tolist() == [[True] * 5 + [False], [True] * 6]
    found = np.arange(2 * 6 * 6).reshape(2, 6, 6).astype(float)
    by_row = stacks.by_row(found, 60)
    assert np.array_equal(by_row[5], found[0, 4])
    assert np.isnan(by_row[[3, 12]]).all()


def test_steps_are_to_the_slices_before_and_after_in_5_mm() -> None:
    table = pl.DataFrame(
        {
            "stack": [1, 0, 0, 0],
            "order": [0, 2, 0, 1],
            "step_mm": [None, None, 2.5, 10.0],
        }
    )
    assert steps(table).tolist() == [[0, 0], [2, 0], [0, 0.5], [0.5, 2]]


def test_fold_without_slices_is_refused(data: Data, tmp_path: Path) -> None:
    folds = tmp_path / "folds.parquet"
    pl.read_parquet(data.folds).with_columns(fold=pl.lit(1, pl.Int32)).write_parquet(folds)
    with pytest.raises(StageError, match="fold 0: 0 slices to predict and 54 to train on"):
        read(Data(data.root, folds_file=folds))
