"""Ensembles of trained folds: out of fold, for new studies, and what they refuse."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.competition.row_ids import row_id
from lsdc.challenges.lumbar.competition.tables import read_labels
from lsdc.challenges.lumbar.config.ensemble import EnsembleConfig
from lsdc.challenges.lumbar.ensemble.fitted import FITTED, FittedOn
from lsdc.challenges.lumbar.ensemble.members import (
    Split,
    complete_folds,
    read_folds,
    read_member,
)
from lsdc.challenges.lumbar.ensemble.model import Ensemble, combine, cross_fit
from lsdc.challenges.lumbar.ensemble.trained import LabelledStudies, fit_trained
from lsdc.challenges.lumbar.scoring.oof import write_oof
from lsdc.errors import DataError
from tests.challenges.lumbar.ensemble.made import (
    as_folds,
    as_labels,
    as_member,
    deal,
    ids,
    make_grades,
    make_values,
)

STUDIES, FOLDS = 30, 3
GRADES = make_grades(STUDIES)
FOLD = deal(STUDIES, FOLDS)
NEW = make_grades(4, seed=9)  # of studies that are held out of all folds
FIRST, SECOND = make_values(GRADES, 2.0, 1), make_values(GRADES, 1.0, 2)
SECOND_LEVEL = EnsembleConfig(second_level=True, temperature=True)


def new_labels() -> pl.DataFrame:
    return as_labels(NEW).with_columns(pl.col("study_id") + 1000)


def new_rows(seed: int) -> pl.DataFrame:
    rows = as_member("new", make_values(NEW, 1.0, seed)).predictions
    return rows.with_columns(row_id=new_labels().select(row_id())["row_id"])


def studies_of(grades: NDArray[np.int8] = GRADES) -> LabelledStudies:
    labels = as_labels(grades)
    return LabelledStudies(labels, labels, as_table(FOLD), new_labels())


def as_table(fold: NDArray[np.int64]) -> pl.DataFrame:
    """Return folds with the types of folds.parquet."""
    return as_folds(fold).cast({"fold": pl.Int32})


def train(root: Path, values: NDArray[np.float64], seed: int, **kept: str) -> list[Path]:
    """Write the folders of all folds of a member; `kept` are the rows that it has."""
    labels = as_labels(GRADES)
    labels = labels.filter(**kept) if kept else labels
    return write_folds(root, as_member("x", values).predictions, labels, as_folds(FOLD), seed)


def write_folds(
    root: Path, predictions: pl.DataFrame, labels: pl.DataFrame, folds: pl.DataFrame, seed: int
) -> list[Path]:
    beside = labels.with_columns(row_id()).join(folds, on="study_id", maintain_order="left")
    rows = beside.join(predictions, on="row_id", maintain_order="left")
    folders = []
    for fold in folds["fold"].unique().sort():
        folder = root / f"fold-{fold}"
        folder.mkdir(parents=True)
        own = rows.filter(fold=fold).rename({"grade": "label"})
        own.select("row_id", "fold", "label", *PROBABILITIES).write_parquet(folder / "oof.parquet")
        new_rows(seed + fold).write_parquet(folder / "holdout.parquet")
        facts = {"fold": fold, "selected": False, "digests": {"model.safetensors": f"{root}{fold}"}}
        (folder / "fit.json").write_text(json.dumps(facts))
        folders.append(folder)
    return folders


def fitted(
    root: Path, members: dict[str, list[Path]], config: EnsembleConfig | None = None
) -> pl.DataFrame:
    """Fit an ensemble into a folder and return its out-of-fold table."""
    root.mkdir()
    fit_trained(config or EnsembleConfig(), members, studies_of(), root)
    return pl.read_parquet(root / "oof.parquet")


def test_each_fold_is_predicted_by_an_ensemble_that_did_not_see_it(tmp_path: Path) -> None:
    members = {
        name: train(tmp_path / name, values, seed)
        for name, values, seed in (("a", FIRST, 10), ("b", SECOND, 20))
    }
    oof = fitted(tmp_path / "out", members, SECOND_LEVEL)
    expected = cross_fit(SECOND_LEVEL, ["a", "b"], np.stack([FIRST, SECOND]), GRADES, FOLD)
    found = oof.select(PROBABILITIES).to_numpy().reshape(expected.shape)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    once = Ensemble.fit(SECOND_LEVEL, ["a", "b"], np.stack([FIRST, SECOND]), GRADES)
    new = np.stack([make_values(NEW, 1.0, seed) for seed in (5, 6)])
    kept = Ensemble.load(tmp_path / "out" / FITTED)
    np.testing.assert_allclose(kept.predict(new), once.predict(new), atol=1e-6)


def test_the_folder_is_scored_as_that_of_a_trained_fold(tmp_path: Path) -> None:
    members = {"a": train(tmp_path / "a", FIRST, 10), "b": train(tmp_path / "b", SECOND, 20)}
    fitted(tmp_path / "out", members)
    (tmp_path / "scored").mkdir()
    write_oof(
        [tmp_path / "out"], as_labels(GRADES), as_table(FOLD), new_labels(), tmp_path / "scored"
    )
    scores = json.loads((tmp_path / "scored" / "scores.json").read_text())
    rows = pl.read_parquet(tmp_path / "scored" / "oof.parquet")
    assert rows.height == rows["row_id"].n_unique() == GRADES.size
    np.testing.assert_allclose(
        rows.select(PROBABILITIES).to_numpy(), ((FIRST + SECOND) / 2).reshape(-1, 3), atol=1e-9
    )
    assert (scores["partial"], scores["selected"], scores["holdout"]["studies"]) == (
        False,
        False,
        4,
    )


def test_held_out_studies_are_predicted_by_the_means_of_the_members_models(tmp_path: Path) -> None:
    fitted(tmp_path / "out", {"a": train(tmp_path / "a", FIRST, 10)})
    found = pl.read_parquet(tmp_path / "out" / "holdout.parquet")
    each = [new_rows(10 + fold).select(PROBABILITIES).to_numpy() for fold in range(FOLDS)]
    np.testing.assert_allclose(
        found.select(PROBABILITIES).to_numpy(), np.mean(each, axis=0), atol=1e-12
    )


def test_a_member_with_some_conditions_changes_these_alone(tmp_path: Path) -> None:
    canal = "spinal_canal_stenosis"
    members = {
        "a": train(tmp_path / "a", FIRST, 10),
        "canal": train(tmp_path / "canal", SECOND, 20, condition=canal),
    }
    oof = fitted(tmp_path / "out", members)
    values = oof.select(PROBABILITIES).to_numpy().reshape(FIRST.shape)
    np.testing.assert_allclose(values[:, 0], (FIRST[:, 0] + SECOND[:, 0]) / 2, atol=1e-12)
    np.testing.assert_allclose(values[:, 1:], FIRST[:, 1:], atol=1e-12)


def test_members_that_lack_a_condition_are_refused(tmp_path: Path) -> None:
    members = {"canal": train(tmp_path / "canal", FIRST, 1, condition="spinal_canal_stenosis")}
    with pytest.raises(DataError, match="canal: none of them predicts left_neural_foraminal"):
        fitted(tmp_path / "out", members)


def test_a_member_with_other_labels_is_refused_by_name(tmp_path: Path) -> None:
    members = {"a": train(tmp_path / "a", FIRST, 1)}
    changed = np.where(GRADES == 0, 1, GRADES).astype(np.int8)
    with pytest.raises(DataError, match=r"a: .*rows .*with other labels than train\.csv"):
        fit_trained(EnsembleConfig(), members, studies_of(changed), tmp_path)


def test_a_member_with_other_folds_is_refused_by_name(tmp_path: Path) -> None:
    members = {"a": train(tmp_path / "a", FIRST, 1)}
    labels, folds = as_labels(GRADES), as_table((FOLD + 1) % FOLDS)
    studies = LabelledStudies(labels, labels, folds, new_labels())
    with pytest.raises(DataError, match="a: 30 studies in another fold than in this run"):
        fit_trained(EnsembleConfig(), members, studies, tmp_path)


def test_what_an_ensemble_was_fitted_on_is_recorded(tmp_path: Path) -> None:
    fitted(tmp_path / "out", {"a": train(tmp_path / "runs" / "a@folds-3", FIRST, 1)})
    record = FittedOn.load(tmp_path / "out" / "fit.json")
    assert record.runs == {"a": "a@folds-3"}
    assert set(record.models["a"]) == {0, 1, 2}
    with pytest.raises(DataError, match="run the same command again"):
        FittedOn.load(tmp_path / "nowhere.json")


@pytest.mark.parametrize("config", [EnsembleConfig(), SECOND_LEVEL], ids=["mean", "second level"])
def test_a_study_is_predicted_alike_alone_and_among_others(config: EnsembleConfig) -> None:
    ensemble = Ensemble.fit(config, ["a", "b"], np.stack([FIRST, SECOND]), GRADES)
    tables = {name: as_member(name, own).predictions for name, own in (("a", FIRST), ("b", SECOND))}
    together = combine(ensemble, tables)
    for study in ids(STUDIES)[:5]:
        own = pl.col("row_id").str.starts_with(f"{study}_")
        alone = combine(ensemble, {name: table.filter(own) for name, table in tables.items()})
        assert alone.rows() == together.filter(study_id=study).rows()


def test_a_member_without_rows_leaves_the_others() -> None:
    ensemble = Ensemble.fit(EnsembleConfig(), ["a", "b"], np.stack([FIRST, SECOND]), GRADES)
    own = as_member("a", FIRST).predictions
    found = combine(ensemble, {"a": own, "b": pl.DataFrame()})
    assert found.select(own.columns).rows() == own.rows()
    assert combine(ensemble, {"a": pl.DataFrame(), "b": pl.DataFrame()}).is_empty()


def test_published_predictions_as_members_have_the_score_of_their_mean(
    real_data: Path, tmp_path: Path
) -> None:
    labels = read_labels(real_data / "competition")
    split = Split("split", read_folds(real_data / "oof" / "train_with_split.csv"))
    folds = complete_folds(split, labels)
    labels = labels.join(folds, on="study_id", how="semi", maintain_order="left")
    members = {}
    for name in ("swin_t", "v2s"):
        read = read_member(name, real_data / "oof" / f"fourth_place_{name}_oof.csv")
        members[name] = write_folds(tmp_path / name, read.predictions, labels, folds, 0)
    none = new_labels().clear()
    fit_trained(EnsembleConfig(), members, LabelledStudies(labels, labels, folds, none), tmp_path)
    (tmp_path / "scored").mkdir()
    write_oof([tmp_path], labels, folds.cast({"fold": pl.Int32}), none, tmp_path / "scored")
    scores = json.loads((tmp_path / "scored" / "scores.json").read_text())
    assert scores["score"] == pytest.approx(0.395032, abs=1e-6)
