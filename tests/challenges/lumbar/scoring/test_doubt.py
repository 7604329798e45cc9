"""Doubt about labels: which are doubted, by whom, and what becomes of them."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.lumbar.competition.row_ids import row_id
from lsdc.challenges.lumbar.scoring.doubt import doubted_labels, list_suspects, without_labels
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS
from lsdc.errors import StageError

SHARES = ["normal_mild", "moderate", "severe"]
SURE = {0: (0.94, 0.04, 0.02), 1: (0.03, 0.94, 0.03), 2: (0.02, 0.04, 0.94)}


def predictions(folds: dict[int, int], wrong: set[str] = frozenset()) -> pl.DataFrame:
    """Return sure predictions of all labels, which are grade 0 but severe where wrong."""
    rows = pl.DataFrame(
        [
            (study, str(condition), str(level), fold)
            for study, fold in folds.items()
            for condition in CONDITIONS
            for level in LEVELS
        ],
        schema={
            "study_id": pl.Int64,
            "condition": pl.String,
            "level": pl.String,
            "fold": pl.Int32,
        },
        orient="row",
    ).with_columns(row_id())
    is_wrong = pl.col("row_id").is_in(list(wrong))
    return rows.with_columns(
        pl.when(is_wrong).then(2).otherwise(0).cast(pl.Int8).alias("label"),
        *(pl.lit(share).alias(name) for name, share in zip(SHARES, SURE[0], strict=True)),
    )


def write_judge(folder: Path, rows: pl.DataFrame) -> Path:
    folder.mkdir()
    rows.write_parquet(folder / "oof.parquet")
    return folder


def test_labels_are_doubted_by_the_judges_of_their_fold_and_the_predicted_one(
    tmp_path: Path,
) -> None:
    """Fold 0 is predicted: wrong labels of folds 1 and 2 are found, those of fold 0 are not."""
    wrong = {f"{study}_spinal_canal_stenosis_l4_l5" for study in (10, 11, 12)}
    judges = [
        write_judge(tmp_path / "0-1", predictions({10: 0, 11: 1}, wrong)),
        write_judge(tmp_path / "0-2", predictions({10: 0, 12: 2}, wrong)),
    ]
    found = doubted_labels(judges, fold=0, share=0.9)
    assert sorted(found["row_id"]) == sorted(wrong - {"10_spinal_canal_stenosis_l4_l5"})
    assert found["doubt"].round(6).to_list() == [0.98, 0.98]
    assert doubted_labels(judges, fold=0, share=0.99).is_empty()


@pytest.mark.parametrize(
    "folds",
    [
        pytest.param({11: 1}, id="trained with the labels of the predicted fold"),
        pytest.param({10: 0}, id="judges no other fold"),
        pytest.param({10: 0, 11: 1, 12: 2}, id="predicts more than two folds"),
    ],
)
def test_judge_that_may_have_seen_either_fold_is_refused(
    folds: dict[int, int], tmp_path: Path
) -> None:
    planted = write_judge(tmp_path / "planted", predictions(folds))
    with pytest.raises(StageError, match=r"planted: predicts .* expected fold 0 and one other"):
        doubted_labels([planted], fold=0, share=0.9)


def test_doubted_labels_become_empty_and_no_other_changes() -> None:
    random = np.random.default_rng(0)
    key = ["study_id", "condition", "level"]
    labels = predictions({1: 0, 2: 0}).rename({"label": "grade"}).select(*key, "grade", *SHARES)
    some = labels[np.sort(random.choice(len(labels), 7, replace=False))]
    changed = without_labels(labels, some.select(key))
    assert changed.select(key).equals(labels.select(key))
    emptied = changed.filter(pl.col("grade").is_null())
    assert emptied.select(key).equals(some.select(key))
    assert emptied.select(pl.col(SHARES).is_null().all()).row(0) == (True, True, True)
    assert changed.join(some, on=key, how="anti").equals(labels.join(some, on=key, how="anti"))


def test_suspects_are_listed_with_the_most_doubtful_first() -> None:
    rows = predictions({1: 0}).with_columns(grade="label").drop("label").head(3)
    rows = rows.with_columns(
        pl.Series("grade", [0, 1, 2], dtype=pl.Int8), pl.Series("severe", [0.02, 0.02, 0.01])
    )
    found = list_suspects(rows, 0.5)
    assert found["label"].to_list() == ["severe", "moderate"]
    assert found["likeliest"].to_list() == ["normal_mild", "normal_mild"]
    assert found["doubt"].round(6).to_list() == [0.99, 0.96]
