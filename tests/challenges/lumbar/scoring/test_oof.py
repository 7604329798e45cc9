"""Out-of-fold tables: every labelled row once, predicted by the fold that held its study out."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.competition.row_ids import with_row_id
from lsdc.challenges.lumbar.scoring.metric import score
from lsdc.challenges.lumbar.scoring.oof import (
    HeldOut,
    OutOfFold,
    assemble_holdout,
    assemble_oof,
    holdout_scores,
    scores_table,
    write_oof,
)
from lsdc.challenges.lumbar.scoring.prior import weighted_prior
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS
from lsdc.errors import DataError, StageError

FOLDS = pl.DataFrame(
    {"study_id": [1, 2, 3, 4, 5, 6], "fold": [0, 0, 1, 1, 2, 2]},
    schema={"study_id": pl.Int64, "fold": pl.Int32},
)
KEYS = {"score", "spinal", "foraminal", "subarticular", "any_severe_spinal"}


@pytest.fixture
def labels() -> pl.DataFrame:
    """Make labels of six studies in folds and a seventh in none; study 1 has an empty cell."""
    generator = np.random.default_rng(0)
    rows = [
        (study, str(condition), str(level), int(generator.integers(3)))
        for study in range(1, 8)
        for condition in CONDITIONS
        for level in LEVELS
    ]
    schema = {"study_id": pl.Int64, "condition": pl.String, "level": pl.String, "grade": pl.Int8}
    table = pl.DataFrame(rows, schema=schema, orient="row")
    return table.with_columns(
        grade=pl.when(pl.int_range(pl.len()) == 24).then(None).otherwise("grade")
    )


def fold_tables(labels: pl.DataFrame, *chosen: int) -> list[pl.DataFrame]:
    """Return predictions of each fold as training writes them: float32, in another row order."""
    dealt = with_row_id(labels.join(FOLDS, on="study_id")).rename({"grade": "label"})
    values = np.random.default_rng(1).dirichlet((3, 1, 1), dealt.height).astype(np.float32)
    dealt = dealt.hstack(pl.DataFrame(values, schema=list(PROBABILITIES)))
    return [dealt.filter(fold=fold).reverse().select(OutOfFold.column_names()) for fold in chosen]


def test_oof_has_each_row_once_in_label_order(labels: pl.DataFrame) -> None:
    oof = assemble_oof(fold_tables(labels, 2, 0, 1), labels, FOLDS)
    OutOfFold.check(oof)
    assert oof["row_id"].to_list() == with_row_id(labels)["row_id"].to_list()[:150]
    assert oof["fold"].to_list() == [0] * 50 + [1] * 50 + [2] * 50
    assert oof["label"].to_list() == labels["grade"].to_list()[:150]
    sums = oof.select(pl.sum_horizontal(PROBABILITIES)).to_series()
    assert (sums - 1).abs().max() < 1e-12


def test_probabilities_stay_with_their_rows(labels: pl.DataFrame) -> None:
    tables = fold_tables(labels, 0, 1, 2)
    oof = assemble_oof(tables, labels, FOLDS)
    given = {row[0]: row[-3:] for table in tables for row in table.iter_rows()}
    for row in oof.iter_rows():
        assert row[-3:] == pytest.approx(given[row[0]], abs=1e-6)


def test_row_without_a_grade_may_be_missing(labels: pl.DataFrame) -> None:
    [table] = fold_tables(labels, 0)
    oof = assemble_oof([table.filter(pl.col("label").is_not_null())], labels, FOLDS)
    assert oof.height == 49


def test_missing_labelled_row_is_named(labels: pl.DataFrame) -> None:
    [table] = fold_tables(labels, 1)
    with pytest.raises(StageError, match=r"1 row \(3_spinal_canal_stenosis_l1_l2\) missing"):
        assemble_oof([table.head(-1)], labels, FOLDS)


def test_repeated_fold_is_refused(labels: pl.DataFrame) -> None:
    [table] = fold_tables(labels, 1)
    with pytest.raises(DataError, match=r"oof: 50 rows .* repeated"):
        assemble_oof([table, table], labels, FOLDS)


def test_prediction_by_a_fold_that_trained_on_the_study_is_refused(labels: pl.DataFrame) -> None:
    tables = fold_tables(labels, 0, 1)
    leaked = tables[0].with_columns(fold=pl.lit(1, pl.Int32))
    with pytest.raises(StageError, match="the first by fold 1"):
        assemble_oof([leaked, tables[1]], labels, FOLDS)


def test_study_in_no_fold_is_refused(labels: pl.DataFrame) -> None:
    [table] = fold_tables(labels, 0)
    stranger = table.head(1).with_columns(row_id=pl.lit("7_spinal_canal_stenosis_l1_l2"))
    with pytest.raises(StageError, match="the study is in none of the given folds"):
        assemble_oof([table, stranger], labels, FOLDS)


def test_invalid_probability_is_refused(labels: pl.DataFrame) -> None:
    [table] = fold_tables(labels, 0)
    with pytest.raises(DataError, match=r"oof: 50 rows .* with NaN"):
        assemble_oof([table.with_columns(severe=pl.lit(np.nan))], labels, FOLDS)


def test_no_trained_fold_is_refused(labels: pl.DataFrame) -> None:
    with pytest.raises(StageError, match="no fold has been trained"):
        assemble_oof([], labels, FOLDS)


def test_scores_include_the_prior_of_the_same_rows(labels: pl.DataFrame) -> None:
    oof = assemble_oof(fold_tables(labels, 0, 1, 2), labels, FOLDS)
    scores = scores_table(oof, labels, FOLDS, selected=False)
    assert set(scores) == KEYS | {"weighted_prior", "folds", "partial", "selected"}
    assert set(scores["folds"]) == {"0", "1", "2"}
    scored = labels.filter(pl.col("study_id") <= 6)
    assert {key: scores[key] for key in KEYS} == score(scored, oof).as_dict()
    assert scores["weighted_prior"] == score(scored, weighted_prior(scored)).as_dict()
    fold = labels.filter(pl.col("study_id").is_in([3, 4]))
    of_fold = scores["folds"]["1"]
    assert {key: of_fold[key] for key in KEYS} == score(fold, oof.filter(fold=1)).as_dict()
    assert of_fold["weighted_prior"] == score(fold, weighted_prior(fold)).as_dict()
    assert scores["partial"] is False
    assert scores["selected"] is False
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def test_subset_of_folds_is_marked_partial(labels: pl.DataFrame) -> None:
    oof = assemble_oof(fold_tables(labels, 1), labels, FOLDS)
    scores = scores_table(oof, labels, FOLDS, selected=True)
    assert oof.height == 50
    assert scores["partial"] is True
    assert scores["selected"] is True
    assert scores["score"] == scores["folds"]["1"]["score"]


def test_fold_without_labels_has_no_score(labels: pl.DataFrame) -> None:
    empty = pl.col("study_id").is_in([3, 4])
    labels = labels.with_columns(grade=pl.when(~empty).then("grade"))
    oof = assemble_oof(fold_tables(labels, 0, 1, 2), labels, FOLDS)
    scores = scores_table(oof, labels, FOLDS, selected=False)
    assert scores["folds"]["1"]["score"] is None
    assert scores["folds"]["1"]["weighted_prior"]["spinal"] is None
    assert scores["score"] > 0


def held_out_tables(labels: pl.DataFrame, models: int) -> list[pl.DataFrame]:
    """Return each model's predictions for study 7, which is in no fold."""
    rows = with_row_id(labels.filter(study_id=7)).drop("grade")
    random = np.random.default_rng(2)
    return [
        rows.hstack(pl.DataFrame(random.dirichlet((3, 1, 1), len(rows)), schema=[*PROBABILITIES]))
        for _ in range(models)
    ]


def test_held_out_studies_are_scored_with_the_mean_of_the_models(labels: pl.DataFrame) -> None:
    tables, held_out = held_out_tables(labels, 3), labels.filter(study_id=7)
    known = labels.filter(pl.col("study_id") < 7)
    predicted = assemble_holdout([table.sample(fraction=1) for table in tables], held_out, known)
    HeldOut.check(predicted)
    assert predicted["row_id"].to_list() == with_row_id(held_out)["row_id"].to_list()
    assert predicted["label"].to_list() == held_out["grade"].to_list()
    mean = sum(table.select(PROBABILITIES).to_numpy() for table in tables) / 3
    np.testing.assert_allclose(predicted.select(PROBABILITIES).to_numpy(), mean, rtol=1e-12)
    scores = holdout_scores(predicted, held_out, models=3)
    assert scores is not None
    planted = pl.DataFrame(mean, schema=[*PROBABILITIES]).hstack(tables[0].select("row_id"))
    assert scores["score"] == pytest.approx(score(held_out, planted).score, abs=1e-12)
    assert scores["weighted_prior"] == score(held_out, weighted_prior(held_out)).as_dict()
    assert (scores["studies"], scores["models"]) == (1, 3)
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def test_held_out_study_without_crops_gets_the_prior_of_the_folds(
    labels: pl.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    held_out, known = labels.filter(study_id=7), labels.filter(pl.col("study_id") < 7)
    nothing = [table.clear() for table in held_out_tables(labels, 2)]
    predicted = assemble_holdout(nothing, held_out, known)
    flipped = assemble_holdout(nothing, held_out.with_columns(grade=2 - pl.col("grade")), known)
    assert predicted.select(PROBABILITIES).equals(flipped.select(PROBABILITIES))
    assert predicted["severe"].is_between(0, 1, closed="none").all()
    assert "holdout: study 7 has no crops of l1_l2, l2_l3" in caplog.text


def test_empty_holdout_has_no_score(labels: pl.DataFrame) -> None:
    tables = [table.clear() for table in held_out_tables(labels, 2)]
    predicted = assemble_holdout(tables, labels.clear(), labels)
    assert predicted.is_empty()
    assert holdout_scores(predicted, labels.clear(), models=2) is None


def test_held_out_study_in_a_fold_is_refused(labels: pl.DataFrame) -> None:
    with pytest.raises(StageError, match=r"1 held-out study \(7\) also in folds"):
        assemble_holdout(held_out_tables(labels, 2), labels.filter(study_id=7), labels)


def test_row_not_predicted_by_all_folds_is_refused(labels: pl.DataFrame) -> None:
    one, other = held_out_tables(labels, 2)
    known = labels.filter(pl.col("study_id") < 7)
    with pytest.raises(StageError, match=r"1 row .* not predicted by all of 2 folds"):
        assemble_holdout([one, other.head(-1)], labels.filter(study_id=7), known)


@pytest.mark.parametrize("name", ["oof", "holdout"])
def test_column_that_joining_the_folds_would_drop_is_refused(
    name: str, labels: pl.DataFrame, tmp_path: Path
) -> None:
    [oof], [held_out] = fold_tables(labels, 0), held_out_tables(labels, 1)
    tables = {"oof": oof, "holdout": held_out}
    tables[name] = tables[name].with_columns(uncertainty=0.5)
    for each, table in tables.items():
        table.write_parquet(tmp_path / f"{each}.parquet")
    (tmp_path / "fit.json").write_text('{"selected": false}')
    known, apart = labels.filter(pl.col("study_id") < 7), labels.filter(study_id=7)
    with pytest.raises(StageError, match=rf"{name}\.parquet: found column uncertainty"):
        write_oof([tmp_path], known, FOLDS, apart, tmp_path)
