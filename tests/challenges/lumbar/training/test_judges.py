"""Judges of labels: what they learn from, and what a fold learns with them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.lumbar.config.loss import LabelsConfig
from lsdc.challenges.lumbar.training.fold_data import read_folds
from lsdc.training.samples import EMPTY_LABEL
from tests.challenges.lumbar.training.random_crops import EXPERIMENT, N_STUDIES, Data

DISTRUSTFUL = EXPERIMENT.model_copy(update={"labels": LabelsConfig(distrust=0.6)})
SHARES = ["normal_mild", "moderate", "severe"]


@pytest.fixture
def in_four_folds(data: Data, tmp_path: Path) -> Data:
    folds = tmp_path / "four.parquet"
    pl.read_parquet(data.folds).with_columns(
        fold=pl.Series([number % 4 for number in range(N_STUDIES)], dtype=pl.Int32)
    ).write_parquet(folds)
    return replace(data, folds=folds)


@pytest.mark.usefixtures("same_process")
def test_labels_of_both_folds_affect_no_judge(in_four_folds: Data, tmp_path: Path) -> None:
    other = tmp_path / "other.parquet"
    held_out = pl.col("study_id").is_in([100, 101, 104, 105])  # folds 0 and 1
    pl.read_parquet(in_four_folds.labels).with_columns(
        grade=pl.when(held_out).then(2 - pl.col("grade")).otherwise("grade").cast(pl.Int8)
    ).write_parquet(other)
    in_four_folds.train(tmp_path / "a", second_fold=1)
    replace(in_four_folds, labels=other).train(tmp_path / "b", second_fold=1)
    one, two = (pl.read_parquet(tmp_path / name / "oof.parquet") for name in "ab")
    assert dict(one.select("study_id", "fold").unique().iter_rows()) == {
        100: 0,
        101: 1,
        104: 0,
        105: 1,
    }
    assert one.select(SHARES).equals(two.select(SHARES))
    assert not one["label"].equals(two["label"])


@pytest.mark.usefixtures("same_process")
def test_fold_learns_no_doubted_label_and_is_scored_on_all(
    in_four_folds: Data, tmp_path: Path
) -> None:
    judges = []
    for other in (1, 2, 3):
        judges.append(tmp_path / f"0-{other}")
        in_four_folds.train(judges[-1], second_fold=other)
    data = read_folds(
        DISTRUSTFUL,
        (0,),
        crops=in_four_folds.root,
        labels=in_four_folds.labels,
        folds=in_four_folds.folds,
        holdout=None,
    )
    doubted = data.doubted(judges)
    assert doubted is not None
    all_labels, kept = (data.training(None, given).labels.grades for given in (None, doubted))
    judged = pl.concat(pl.read_parquet(path / "oof.parquet") for path in judges)
    shares = judged.filter(pl.col("fold") != 0, pl.col("label").is_not_null())
    given = shares.select(SHARES).to_numpy()[np.arange(len(shares)), shares["label"].to_numpy()]
    dropped = (all_labels != EMPTY_LABEL) & (kept == EMPTY_LABEL)
    assert dropped.sum() == (given <= 0.4).sum() == len(doubted) > 0
    assert np.array_equal(kept[~dropped], all_labels[~dropped])
    assert data.validation.labels.grades.tolist() == [
        [EMPTY_LABEL if grade is None else grade for grade in row]
        for row in _grades(in_four_folds, data.inside)
    ]

    in_four_folds.train(tmp_path / "trusting", experiment=EXPERIMENT)
    in_four_folds.train(tmp_path / "doubting", experiment=DISTRUSTFUL, judges=tuple(judges))
    one, two = (
        pl.read_parquet(tmp_path / name / "oof.parquet") for name in ("trusting", "doubting")
    )
    assert one["label"].equals(two["label"])
    assert not one.select(SHARES).equals(two.select(SHARES))
    assert pl.read_parquet(tmp_path / "doubting/doubted.parquet").equals(doubted)
    assert json.loads((tmp_path / "doubting/fit.json").read_text())["doubted"] == len(doubted)
    assert not (tmp_path / "trusting/doubted.parquet").exists()


def _grades(data: Data, samples: pl.DataFrame) -> list[list[int | None]]:
    labels = pl.read_parquet(data.labels)
    return [
        labels.filter(study_id=study, level=level)["grade"].to_list()
        for study, level in samples.select("study_id", "level").iter_rows()
    ]
