"""Folds: whole studies, rare grades spread evenly, reproducible."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.lumbar.competition.tables import open_competition
from lsdc.challenges.lumbar.folds import assign_folds, hold_out, require_studies, write_folds
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS
from lsdc.errors import DataError, SettingsError


def labels_of(grades: np.ndarray) -> pl.DataFrame:
    """Return labels of studies 1, 2, ... from (studies, 25) grades, -1 for an empty cell."""
    rows = [
        (study + 1, str(condition), str(level), None if grade < 0 else int(grade))
        for study, row in enumerate(grades)
        for (condition, level), grade in zip(
            [(c, lv) for c in CONDITIONS for lv in LEVELS], row, strict=True
        )
    ]
    schema = {"study_id": pl.Int64, "condition": pl.String, "level": pl.String, "grade": pl.Int8}
    return pl.DataFrame(rows, schema=schema, orient="row")


def random_labels(studies: int, seed: int) -> pl.DataFrame:
    chances = [0.03, 0.82, 0.10, 0.05]
    return labels_of(np.random.default_rng(seed).choice(4, (studies, 25), p=chances) - 1)


def test_each_study_is_in_one_fold_and_folds_have_similar_sizes() -> None:
    folds = assign_folds(random_labels(40, 0), range(1, 41), 4, seed=0)
    assert folds.schema == {"study_id": pl.Int64, "fold": pl.Int32}
    assert folds["study_id"].to_list() == list(range(1, 41))
    assert folds["fold"].value_counts()["count"].is_between(8, 12).all()
    assert folds["fold"].unique().sort().to_list() == [0, 1, 2, 3]


def test_rare_severe_grades_are_spread_over_folds() -> None:
    grades = np.zeros((40, 25), dtype=int)
    grades[[3, 4, 5, 6], 3] = 2
    folds = assign_folds(labels_of(grades), range(1, 41), 4, seed=0)
    assert sorted(folds.filter(pl.col("study_id").is_in([4, 5, 6, 7]))["fold"]) == [0, 1, 2, 3]


def test_split_depends_only_on_seed_and_set_of_studies() -> None:
    labels = random_labels(30, 1)
    folds = assign_folds(labels, range(1, 31), 3, seed=5)
    again = assign_folds(labels.sample(fraction=1, shuffle=True), range(30, 0, -1), 3, seed=5)
    assert again.equals(folds)
    assert not assign_folds(labels, range(1, 31), 3, seed=6).equals(folds)


def test_only_the_given_studies_are_assigned() -> None:
    folds = assign_folds(random_labels(10, 2), [2, 3, 5, 7], 2, seed=0)
    assert folds["study_id"].to_list() == [2, 3, 5, 7]


@pytest.mark.parametrize("seed", range(12))
def test_no_fold_is_empty_with_few_studies(seed: int) -> None:
    generator = np.random.default_rng(seed)
    studies = int(generator.integers(2, 9))
    count = int(generator.integers(2, studies + 1))
    folds = assign_folds(random_labels(studies, seed), range(1, studies + 1), count, seed)
    assert folds["fold"].n_unique() == count


def test_studies_without_any_grade_are_assigned() -> None:
    folds = assign_folds(labels_of(np.full((6, 25), -1)), range(1, 7), 3, seed=0)
    assert folds["fold"].value_counts()["count"].to_list() == [2, 2, 2]


@pytest.mark.parametrize(("count", "said"), [(1, "expected 2 or more"), (5, "use fewer folds")])
def test_impossible_numbers_of_folds_are_refused(count: int, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        assign_folds(random_labels(4, 0), range(1, 5), count, seed=0)


def test_study_without_labels_is_refused() -> None:
    with pytest.raises(DataError, match="the first: 99"):
        assign_folds(random_labels(4, 0), [1, 2, 99], 2, seed=0)


def test_held_out_studies_match_the_fraction_in_any_order() -> None:
    labels, studies = random_labels(40, 3), list(range(1, 41))
    held_out = hold_out(labels, studies, 0.1, seed=0)
    assert 3 <= len(held_out) <= 5
    assert held_out == sorted(set(held_out) & set(studies))
    assert hold_out(labels.reverse(), studies[::-1], 0.1, seed=0) == held_out
    assert hold_out(labels, studies, 0.1, seed=1) != held_out
    assert 14 <= len(hold_out(labels, studies, 0.4, seed=0)) <= 18
    assert hold_out(labels, studies, 0.0, seed=0) == []


def test_held_out_studies_are_stratified_by_grade() -> None:
    grades = np.zeros((40, 25), dtype=int)
    severe = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]
    grades[np.array(severe) - 1, 3] = 2
    assert len(set(hold_out(labels_of(grades), range(1, 41), 0.2, seed=0)) & set(severe)) == 2


def test_held_out_studies_are_in_no_fold_and_have_their_own_table(tmp_path: Path) -> None:
    labels = random_labels(20, 4)
    studies = pl.DataFrame({"study_id": range(1, 21), "usable": [True] * 19 + [False]})
    ids = []
    for folds in (2, 3):
        dealt = write_folds(
            labels, studies, tmp_path, folds=folds, seed=0, strict=False, holdout=0.2
        )
        table, known, apart = (
            pl.read_parquet(tmp_path / f"{name}.parquet") for name in ("folds", "labels", "holdout")
        )
        assert set(known["study_id"]) == set(table["study_id"])
        assert not set(apart["study_id"]) & set(table["study_id"])
        assert set(apart["study_id"]) | set(table["study_id"]) == set(range(1, 20))
        assert dealt == len(table) == 19 - apart["study_id"].n_unique()
        assert len(apart) == 25 * apart["study_id"].n_unique()
        ids.append(set(apart["study_id"]))
    assert ids[0] == ids[1]  # whatever the number of folds
    assert 3 <= len(ids[0]) <= 5


def test_no_study_is_held_out_by_default(tmp_path: Path) -> None:
    studies = pl.DataFrame({"study_id": range(1, 11), "usable": [True] * 10})
    write_folds(random_labels(10, 0), studies, tmp_path, folds=2, seed=0, strict=True)
    assert pl.read_parquet(tmp_path / "holdout.parquet").is_empty()


def test_unused_studies_are_named_with_their_spelling_in_the_tables(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    studies = pl.DataFrame({"study_id": range(1, 11), "usable": [True] * 8 + [False] * 2})
    labels = random_labels(10, 0)
    options = {"folds": 2, "seed": 0, "spell": lambda study: f"00{study}"}
    write_folds(labels, studies, tmp_path, strict=False, **options)
    assert "2 studies without images or labels: 009, 0010; they are" in caplog.text
    with pytest.raises(DataError, match="labels: 009, 0010; complete them"):
        write_folds(labels, studies, tmp_path, strict=True, **options)


@pytest.mark.parametrize(("share", "said"), [(0.01, "1% of 10 .* none"), (0.999, "of 10 .* all")])
def test_fraction_that_holds_out_no_or_all_studies_is_refused(share: float, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        hold_out(random_labels(10, 0), range(1, 11), share, seed=0)


def test_more_folds_than_studies_are_refused_before_images_are_read(phantom: Path) -> None:
    competition = open_competition(phantom)
    require_studies(competition, 6)
    for folds, limit, found in ((7, None, 6), (4, 3, 3)):
        with pytest.raises(SettingsError, match=f"{folds} folds need .* found {found} with a row"):
            require_studies(competition, folds, limit)
    unlabelled = replace(competition, labels=competition.labels.head(25))
    with pytest.raises(SettingsError, match=r"found 1 with .* add studies"):
        require_studies(unlabelled, 2)
