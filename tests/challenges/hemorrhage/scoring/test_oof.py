"""Out-of-fold tables: every labelled image once, predicted by the fold that held it out."""

import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.hemorrhage.competition.predictions import PROBABILITIES
from lsdc.challenges.hemorrhage.folds import Holdout, assign_folds
from lsdc.challenges.hemorrhage.scoring.complete import Filled
from lsdc.challenges.hemorrhage.scoring.metric import PARTS, score
from lsdc.challenges.hemorrhage.scoring.oof import (
    HeldOut,
    OutOfFold,
    assemble_holdout,
    assemble_oof,
    holdout_scores,
    scores_table,
    write_oof,
)
from lsdc.challenges.hemorrhage.scoring.prior import constant_prior
from lsdc.errors import DataError, StageError
from tests.challenges.hemorrhage.made_images import make_images, make_labels, predict

KEYS = {"score", *PARTS}
HELD_OUT = f"{3:016x}"  # a patient


@pytest.fixture(scope="module")
def images() -> pl.DataFrame:
    return make_images(12)


@pytest.fixture(scope="module")
def all_labels(images: pl.DataFrame) -> pl.DataFrame:
    return make_labels(images, bleeding=0.8)


@pytest.fixture(scope="module")
def labels(images: pl.DataFrame, all_labels: pl.DataFrame) -> pl.DataFrame:
    """Return the labels of all patients but the held-out one."""
    known = images.filter(pl.col("patient") != HELD_OUT)
    return all_labels.join(known, on="image_id", how="semi", maintain_order="left")


@pytest.fixture(scope="module")
def held_out(images: pl.DataFrame, all_labels: pl.DataFrame) -> pl.DataFrame:
    own = images.filter(patient=HELD_OUT).join(all_labels, on="image_id")
    return own.select(Holdout.column_names())


@pytest.fixture(scope="module")
def folds(images: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    return assign_folds(images.join(labels, on="image_id", how="semi"), labels, 3, seed=0)


def fold_tables(labels: pl.DataFrame, folds: pl.DataFrame, *chosen: int) -> list[pl.DataFrame]:
    """Return predictions of each fold in float32, in another order of rows."""
    dealt = predict(labels, seed=1).join(folds.select("image_id", "fold"), on="image_id")
    single = dealt.cast(dict.fromkeys(PROBABILITIES, pl.Float32)).reverse()
    return [single.filter(fold=fold) for fold in chosen]


def test_oof_has_each_image_once_in_label_order(
    images: pl.DataFrame, labels: pl.DataFrame, folds: pl.DataFrame
) -> None:
    oof, filled = assemble_oof(fold_tables(labels, folds, 2, 0, 1), labels, folds, images)
    OutOfFold.check(oof)
    assert filled.is_empty()
    assert oof["image_id"].equals(labels["image_id"])
    own = oof.select("image_id", *(pl.col(f"label_{part}").alias(part) for part in PARTS))
    assert own.equals(labels)
    beside = oof.join(folds, on="image_id")
    for name in ("fold", "study_id", "patient"):
        assert beside[name].to_list() == beside[f"{name}_right"].to_list()
    given = predict(labels, seed=1).select(PROBABILITIES).to_numpy()
    np.testing.assert_allclose(oof.select(PROBABILITIES).to_numpy(), given, atol=1e-7)


def test_missing_image_is_filled_from_its_own_fold(
    images: pl.DataFrame, labels: pl.DataFrame, folds: pl.DataFrame
) -> None:
    gap = images.filter(order=1).join(labels, on="image_id", how="semi")["image_id"][0]
    tables = [
        table.filter(pl.col("image_id") != gap) for table in fold_tables(labels, folds, 0, 1, 2)
    ]
    oof, filled = assemble_oof(tables, labels, folds, images)
    assert oof["image_id"].equals(labels["image_id"])
    [row] = filled.rows(named=True)
    place = images.filter(image_id=gap).row(0, named=True)
    series = images.filter(series_id=place["series_id"]).sort("order")["image_id"]
    assert (row["image_id"], row["before"], row["after"]) == (gap, series[0], series[2])
    values = dict(zip(oof["image_id"], oof["subdural"], strict=True))
    assert values[gap] == pytest.approx((values[series[0]] + values[series[2]]) / 2)


def test_study_without_predictions_gets_the_prior_of_the_other_folds(
    images: pl.DataFrame, labels: pl.DataFrame, folds: pl.DataFrame
) -> None:
    [study, *_] = folds.filter(fold=1)["study_id"]
    lost = folds.filter(study_id=study)["image_id"]
    tables = [
        table.filter(~pl.col("image_id").is_in(lost.implode()))
        for table in fold_tables(labels, folds, 0, 1)
    ]
    oof, filled = assemble_oof(tables, labels, folds, images)
    others = labels.join(folds.filter(pl.col("fold") != 1), on="image_id")
    expected = (others["any"].sum() + 0.5) / (others.height + 1)
    assert oof.filter(study_id=study)["any"].unique().to_list() == pytest.approx([expected])
    assert filled["filled_by"].to_list() == ["prior"] * len(lost)
    assert set(oof["fold"]) == {0, 1}


def test_repeated_fold_is_refused(
    images: pl.DataFrame, labels: pl.DataFrame, folds: pl.DataFrame
) -> None:
    [table] = fold_tables(labels, folds, 1)
    with pytest.raises(DataError, match=rf"oof: {table.height} images .* repeated"):
        assemble_oof([table, table], labels, folds, images)


def test_prediction_by_a_fold_that_trained_on_the_image_is_refused(
    images: pl.DataFrame, labels: pl.DataFrame, folds: pl.DataFrame
) -> None:
    first, other = fold_tables(labels, folds, 0, 1)
    leaked = first.with_columns(fold=pl.lit(1, pl.Int32))
    with pytest.raises(StageError, match=r"the first by fold 1, the image is in fold 0"):
        assemble_oof([leaked, other], labels, folds, images)
    stranger = other.head(1).with_columns(image_id=pl.lit("ID_stranger"))
    with pytest.raises(StageError, match=r"\(ID_stranger\) .* is in none of the given folds"):
        assemble_oof([other, stranger], labels, folds, images)


def test_invalid_probability_and_no_fold_are_refused(
    images: pl.DataFrame, labels: pl.DataFrame, folds: pl.DataFrame
) -> None:
    [table] = fold_tables(labels, folds, 0)
    bad = table.with_columns(any=pl.lit(math.nan, pl.Float32))
    with pytest.raises(DataError, match=r"oof: .* with NaN"):
        assemble_oof([bad], labels, folds, images)
    with pytest.raises(StageError, match="no fold has been trained"):
        assemble_oof([], labels, folds, images)


def test_scores_include_the_prior_of_the_same_images(
    images: pl.DataFrame, labels: pl.DataFrame, folds: pl.DataFrame
) -> None:
    oof, _ = assemble_oof(fold_tables(labels, folds, 0, 1, 2), labels, folds, images)
    scores = scores_table(oof, folds, selected=False)
    assert set(scores) == KEYS | {"weighted_prior", "folds", "partial", "selected", "leaky"}
    assert {key: scores[key] for key in KEYS} == score(labels, oof).as_dict()
    assert scores["weighted_prior"] == score(labels, constant_prior(labels)).as_dict()
    own = labels.join(folds.filter(fold=1), on="image_id", how="semi")
    of_fold = scores["folds"]["1"]
    assert {key: of_fold[key] for key in KEYS} == score(own, oof.filter(fold=1)).as_dict()
    assert of_fold["weighted_prior"] == score(own, constant_prior(own)).as_dict()
    assert (scores["partial"], scores["selected"], scores["leaky"]) == (False, False, False)
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def test_subset_of_folds_is_marked_partial_and_selection_is_marked(
    images: pl.DataFrame, labels: pl.DataFrame, folds: pl.DataFrame
) -> None:
    oof, _ = assemble_oof(fold_tables(labels, folds, 1), labels, folds, images)
    scores = scores_table(oof, folds, selected=True)
    assert scores["partial"] is True
    assert scores["selected"] is True
    assert scores["score"] == scores["folds"]["1"]["score"]


def test_folds_by_image_are_marked_leaky(images: pl.DataFrame, labels: pl.DataFrame) -> None:
    own = images.join(labels, on="image_id", how="semi")
    folds = assign_folds(own, labels, 2, seed=42, by="image")
    oof, _ = assemble_oof(fold_tables(labels, folds, 0, 1), labels, folds, images)
    assert scores_table(oof, folds, selected=False)["leaky"] is True


def held_out_tables(held_out: pl.DataFrame, models: int) -> list[pl.DataFrame]:
    """Return each model's predictions for the held-out patient."""
    return [predict(held_out, seed=seed) for seed in range(models)]


def test_held_out_images_are_scored_with_the_mean_of_the_models(
    images: pl.DataFrame, labels: pl.DataFrame, held_out: pl.DataFrame
) -> None:
    tables = held_out_tables(held_out, 3)
    shuffled = [table.sample(fraction=1, shuffle=True) for table in tables]
    predicted, filled = assemble_holdout(shuffled, held_out, labels, images)
    HeldOut.check(predicted)
    assert filled.is_empty()
    assert predicted["image_id"].equals(held_out["image_id"])
    mean = sum(table.select(PROBABILITIES).to_numpy() for table in tables) / 3
    np.testing.assert_allclose(predicted.select(PROBABILITIES).to_numpy(), mean, rtol=1e-12)
    scores = holdout_scores(predicted, models=3)
    assert scores is not None
    own = held_out.select("image_id", *PARTS)
    assert {key: scores[key] for key in KEYS} == score(own, predicted).as_dict()
    assert scores["weighted_prior"] == score(own, constant_prior(own)).as_dict()
    assert (scores["studies"], scores["models"]) == (held_out["study_id"].n_unique(), 3)
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def test_held_out_image_that_no_model_predicted_is_filled(
    images: pl.DataFrame, labels: pl.DataFrame, held_out: pl.DataFrame
) -> None:
    nothing = [table.clear() for table in held_out_tables(held_out, 2)]
    predicted, filled = assemble_holdout(nothing, held_out, labels, images)
    assert filled.height == held_out.height
    expected = (labels["any"].sum() + 0.5) / (labels.height + 1)
    assert predicted["any"].unique().to_list() == pytest.approx([expected])


def test_empty_holdout_has_no_score(
    images: pl.DataFrame, labels: pl.DataFrame, held_out: pl.DataFrame
) -> None:
    tables = [table.clear() for table in held_out_tables(held_out, 2)]
    predicted, _ = assemble_holdout(tables, held_out.clear(), labels, images)
    assert predicted.is_empty()
    assert holdout_scores(predicted, models=2) is None


def test_held_out_image_in_a_fold_is_refused(
    images: pl.DataFrame, all_labels: pl.DataFrame, held_out: pl.DataFrame
) -> None:
    with pytest.raises(StageError, match=rf"{held_out.height} held-out images .* also in folds"):
        assemble_holdout(held_out_tables(held_out, 2), held_out, all_labels, images)


def test_image_not_predicted_by_all_folds_is_refused(
    images: pl.DataFrame, labels: pl.DataFrame, held_out: pl.DataFrame
) -> None:
    one, other = held_out_tables(held_out, 2)
    with pytest.raises(StageError, match=r"1 image .* not predicted by all of 2 folds"):
        assemble_holdout([one, other.head(-1)], held_out, labels, images)


@pytest.fixture
def trained(
    tmp_path: Path, labels: pl.DataFrame, folds: pl.DataFrame, held_out: pl.DataFrame
) -> list[Path]:
    """Write the folders of three trained folds."""
    folders = []
    tables = fold_tables(labels, folds, 0, 1, 2)
    for fold, (oof, apart) in enumerate(zip(tables, held_out_tables(held_out, 3), strict=True)):
        folder = tmp_path / f"fold-{fold}"
        folder.mkdir()
        oof.write_parquet(folder / "oof.parquet")
        apart.write_parquet(folder / "holdout.parquet")
        (folder / "fit.json").write_text(json.dumps({"selected": fold == 2}))
        folders.append(folder)
    return folders


def test_joined_tables_and_scores_are_written(
    trained: list[Path],
    images: pl.DataFrame,
    labels: pl.DataFrame,
    folds: pl.DataFrame,
    held_out: pl.DataFrame,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    lost = pl.read_parquet(trained[0] / "oof.parquet")
    lost.slice(1).write_parquet(trained[0] / "oof.parquet")
    assert write_oof(trained, labels, folds, held_out, images, tmp_path) == labels.height
    OutOfFold.check(pl.read_parquet(tmp_path / "oof.parquet"))
    HeldOut.check(pl.read_parquet(tmp_path / "holdout.parquet"))
    filled = pl.read_parquet(tmp_path / "filled.parquet")
    Filled.check(filled)
    assert filled["image_id"].to_list() == [lost["image_id"][0]]
    assert f"oof: no model predicted 1 image (the first: {lost['image_id'][0]}" in caplog.text
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["selected"] is True
    assert scores["holdout"]["models"] == 3
    assert list(scores["folds"]) == ["0", "1", "2"]


@pytest.mark.parametrize("name", ["oof", "holdout"])
def test_column_that_joining_the_folds_would_drop_is_refused(
    name: str,
    trained: list[Path],
    images: pl.DataFrame,
    labels: pl.DataFrame,
    folds: pl.DataFrame,
    held_out: pl.DataFrame,
    tmp_path: Path,
) -> None:
    path = trained[1] / f"{name}.parquet"
    pl.read_parquet(path).with_columns(uncertainty=0.5).write_parquet(path)
    with pytest.raises(StageError, match=rf"{name}\.parquet: found column uncertainty"):
        write_oof(trained, labels, folds, held_out, images, tmp_path)
