"""The metric compared with scikit-learn and the original, and refusals of invalid tables."""

import json
import math
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import log_loss

from lsdc.challenges.lumbar.competition.predictions import (
    PROBABILITIES,
    check_predictions,
    read_predictions,
)
from lsdc.challenges.lumbar.competition.row_ids import with_row_id
from lsdc.challenges.lumbar.competition.tables import read_labels
from lsdc.challenges.lumbar.scoring.metric import PARTS, score
from lsdc.challenges.lumbar.scoring.prior import out_of_fold_prior, prior_table, weighted_prior
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS
from lsdc.errors import DataError

CELLS = [(str(condition), str(level)) for condition in CONDITIONS for level in LEVELS]


def make_labels(studies: int = 12, seed: int = 0, empty: float = 0.1) -> pl.DataFrame:
    generator = np.random.default_rng(seed)
    rows = [
        (study, *cell, None if generator.random() < empty else int(generator.integers(3)))
        for study in range(101, 101 + studies)
        for cell in CELLS
    ]
    schema = {"study_id": pl.Int64, "condition": pl.String, "level": pl.String, "grade": pl.Int8}
    return pl.DataFrame(rows, schema=schema, orient="row")


def make_predictions(labels: pl.DataFrame, seed: int = 1) -> pl.DataFrame:
    values = np.random.default_rng(seed).dirichlet((2, 1, 0.5), labels.height)
    return (
        with_row_id(labels)
        .select("row_id")
        .hstack(pl.DataFrame(values, schema=list(PROBABILITIES)))
    )


def plain_score(labels: pl.DataFrame, predictions: pl.DataFrame) -> dict[str, float]:
    """Compute the metric with scikit-learn and dictionaries, for rows that sum to 1."""
    given = {row[0]: row[1:] for row in predictions.iter_rows()}
    rows = [
        (study, condition, grade, given[f"{study}_{condition}_{level}"])
        for study, condition, level, grade in labels.iter_rows()
        if grade is not None
    ]
    parts = {}
    for name in ("spinal", "foraminal", "subarticular"):
        chosen = [row for row in rows if name in row[1]]
        parts[name] = log_loss(
            [row[2] for row in chosen],
            [row[3] for row in chosen],
            sample_weight=[2 ** row[2] for row in chosen],
            labels=[0, 1, 2],
        )
    canals: dict[int, list[tuple[int, float]]] = {}
    for study, condition, grade, probabilities in rows:
        if condition == "spinal_canal_stenosis":
            canals.setdefault(study, []).append((grade, probabilities[2]))
    parts["any_severe_spinal"] = log_loss(
        [max(grade for grade, _ in canal) == 2 for canal in canals.values()],
        [max(severe for _, severe in canal) for canal in canals.values()],
        sample_weight=[2 ** max(grade for grade, _ in canal) for canal in canals.values()],
        labels=[False, True],
    )
    return {"score": sum(parts.values()) / 4, **parts}


def edited(predictions: pl.DataFrame, row: int, values: tuple[float, float, float]) -> pl.DataFrame:
    number = pl.int_range(pl.len())
    return predictions.with_columns(
        pl.when(number == row).then(value).otherwise(pl.col(name)).alias(name)
        for name, value in zip(PROBABILITIES, values, strict=True)
    )


def refusal(labels: pl.DataFrame, predictions: pl.DataFrame) -> str:
    with pytest.raises(DataError) as caught:
        score(labels, predictions)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("seed", range(5))
def test_metric_equals_scikit_learns_log_loss(seed: int) -> None:
    labels = make_labels(seed=seed)
    predictions = make_predictions(labels, seed)
    assert score(labels, predictions).as_dict() == pytest.approx(
        plain_score(labels, predictions), abs=1e-12, rel=0
    )


def test_wrong_certain_predictions_are_clipped_at_float64_epsilon() -> None:
    labels = make_labels(2, empty=0)
    certain = make_predictions(labels).with_columns(
        pl.Series(name, (labels["grade"] == (code + 1) % 3).cast(pl.Float64))
        for code, name in enumerate(PROBABILITIES)
    )
    result = score(labels, certain)
    assert result.spinal == pytest.approx(-math.log(np.finfo(np.float64).eps), abs=1e-9)
    assert result.as_dict() == pytest.approx(plain_score(labels, certain), abs=1e-9)


def test_row_order_does_not_matter() -> None:
    labels = make_labels()
    predictions = make_predictions(labels)
    shuffled = predictions.sample(fraction=1, shuffle=True, seed=3)
    expected = score(labels, predictions).as_dict()
    assert score(labels, shuffled).as_dict() == pytest.approx(expected, abs=1e-14)
    mixed = labels.sample(fraction=1, shuffle=True, seed=4)
    assert score(mixed, shuffled).as_dict() == pytest.approx(expected, abs=1e-14)


def test_rows_are_divided_by_their_sum() -> None:
    labels = make_labels()
    predictions = make_predictions(labels)
    factor = pl.Series(np.random.default_rng(0).uniform(0.01, 90, predictions.height))
    scaled = predictions.with_columns(pl.col(PROBABILITIES) * factor)
    expected = score(labels, predictions).as_dict()
    assert score(labels, scaled).as_dict() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("rows", range(1, 6))
def test_few_rows_keep_their_probabilities(rows: int) -> None:
    given = make_predictions(make_labels(studies=1)).head(rows)
    checked = check_predictions(given)
    assert checked["row_id"].equals(given["row_id"])
    shares = given.select(PROBABILITIES).to_numpy()
    shares = shares / shares.sum(axis=1, keepdims=True)
    assert checked.select(PROBABILITIES).to_numpy() == pytest.approx(shares)


def test_rows_without_a_grade_are_ignored() -> None:
    labels = make_labels(empty=0.4)
    predictions = make_predictions(labels)
    labelled = predictions.filter(labels["grade"].is_not_null())
    other = pl.concat([labelled, make_predictions(labels, 9).filter(labels["grade"].is_null())])
    expected = score(labels, predictions).as_dict()
    assert score(labels, labelled).as_dict() == pytest.approx(expected, abs=1e-14)
    assert score(labels, other).as_dict() == pytest.approx(expected, abs=1e-14)


def test_labels_without_severe_canals_are_scored() -> None:
    canal = pl.col("condition") == "spinal_canal_stenosis"
    labels = make_labels().with_columns(
        pl.when(canal).then(pl.col("grade").clip(upper_bound=1)).otherwise("grade").alias("grade")
    )
    predictions = make_predictions(labels)
    assert score(labels, predictions).as_dict() == pytest.approx(
        plain_score(labels, predictions), abs=1e-12
    )


def test_part_without_labels_is_none_and_not_in_the_mean() -> None:
    canal = pl.col("condition") == "spinal_canal_stenosis"
    labels = make_labels().with_columns(pl.when(~canal).then("grade").alias("grade"))
    result = score(labels, make_predictions(labels))
    assert result.unscored_parts == ("spinal", "any_severe_spinal")
    assert result.foraminal is not None
    assert result.subarticular is not None
    assert result.score == pytest.approx((result.foraminal + result.subarticular) / 2)


def test_labels_without_grades_are_refused() -> None:
    labels = make_labels(2).with_columns(grade=pl.lit(None, pl.Int8))
    assert "no row has a grade" in refusal(labels, make_predictions(labels))


def test_text_and_float32_are_read_as_numbers() -> None:
    labels = make_labels()
    predictions = make_predictions(labels)
    as_text = predictions.cast(dict.fromkeys(PROBABILITIES, pl.String))
    assert score(labels, as_text) == score(labels, predictions)
    single = predictions.cast(dict.fromkeys(PROBABILITIES, pl.Float32))
    assert score(labels, single).score == pytest.approx(score(labels, predictions).score, abs=1e-6)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((math.nan, 0.5, 0.5), "with NaN"),
        ((math.inf, 0.5, 0.5), "with an infinite"),
        ((1.2, -0.1, -0.1), "with a negative"),
        ((0.0, 0.0, 0.0), "sum to zero"),
        ((1e308, 1e308, 1e308), "too large to add up"),
    ],
)
def test_invalid_probabilities_are_refused_with_their_rows(
    values: tuple[float, float, float], said: str
) -> None:
    labels = make_labels(3)
    predictions = make_predictions(labels)
    message = refusal(labels, edited(predictions, 7, values))
    assert f"1 row ({predictions['row_id'][7]})" in message
    assert said in message


@pytest.mark.parametrize(
    ("word", "said"), [("much", "not a number"), (None, "not a number"), ("NaN", "with NaN")]
)
def test_text_that_is_not_a_number_is_refused_with_its_row(word: str | None, said: str) -> None:
    labels = make_labels(3)
    predictions = make_predictions(labels)
    words = predictions["severe"].cast(pl.String).to_list()
    words[4] = word
    message = refusal(labels, predictions.with_columns(severe=pl.Series(words)))
    assert predictions["row_id"][4] in message
    assert said in message


def test_many_bad_rows_are_counted_and_the_first_named() -> None:
    labels = make_labels(3)
    predictions = make_predictions(labels).with_columns(moderate=pl.lit(-1.0))
    message = refusal(labels, predictions)
    assert "75 rows (" in message
    assert "and 72 more" in message


def test_missing_labelled_row_is_named() -> None:
    labels = make_labels(3, empty=0)
    message = refusal(labels, make_predictions(labels).slice(1))
    assert "1 row (101_spinal_canal_stenosis_l1_l2) missing of 75" in message


def test_repeated_row_is_refused_even_with_equal_values() -> None:
    labels = make_labels(3)
    predictions = make_predictions(labels)
    message = refusal(labels, pl.concat([predictions, predictions[5:7]]))
    assert "2 rows (" in message
    assert "repeated, expected each row id once" in message
    assert predictions["row_id"][5] in message


@pytest.mark.parametrize("row_id", ["999_spinal_canal_stenosis_l1_l2", "101_spinal_l1_l2", "x"])
def test_unknown_row_is_named(row_id: str) -> None:
    labels = make_labels(3)
    predictions = make_predictions(labels)
    stranger = predictions.head(1).with_columns(row_id=pl.lit(row_id))
    message = refusal(labels, pl.concat([predictions, stranger]))
    assert f"1 row ({row_id}) not in train.csv" in message


def test_missing_column_suggests_the_closest_name() -> None:
    labels = make_labels(3)
    message = refusal(labels, make_predictions(labels).rename({"normal_mild": "normal/mild"}))
    assert "no column 'normal_mild'; the closest one found is 'normal/mild'" in message


def test_prior_is_the_weighted_frequency_of_grades_with_sides_pooled() -> None:
    grades = {("left", 101): 0, ("right", 101): 0, ("left", 102): 1, ("right", 102): 2}
    labels = pl.DataFrame(
        [
            (study, f"{side}_subarticular_stenosis", "l1_l2", grade)
            for (side, study), grade in grades.items()
        ],
        schema={"study_id": pl.Int64, "condition": pl.String, "level": pl.String, "grade": pl.Int8},
        orient="row",
    )
    prior = prior_table(labels)
    assert prior.height == 25
    for side in ("left", "right"):
        cell = prior.filter(condition=f"{side}_subarticular_stenosis", level="l1_l2")
        assert cell.row(0)[2:] == pytest.approx((2 / 8, 2 / 8, 4 / 8))
    elsewhere = prior.filter(condition="spinal_canal_stenosis", level="l5_s1").row(0)[2:]
    assert elsewhere == pytest.approx((2 / 8, 2 / 8, 4 / 8))


def test_prior_is_the_best_constant_per_cell() -> None:
    labels = make_labels(30)
    at_best = score(labels, weighted_prior(labels))
    shifted = weighted_prior(labels).with_columns(pl.col("severe") * 1.1)
    beside = score(labels, shifted)
    for part in PARTS[:3]:
        assert at_best.as_dict()[part] < beside.as_dict()[part]


def test_out_of_fold_prior_ignores_labels_of_its_own_fold() -> None:
    labels = make_labels(4, empty=0)
    folds = pl.DataFrame({"study_id": [101, 102, 103, 104], "fold": [0, 0, 1, 1]})
    before = out_of_fold_prior(labels, folds)
    first = pl.col("study_id") <= 102
    other = labels.with_columns(
        pl.when(first).then(2).otherwise("grade").cast(pl.Int8).alias("grade")
    )
    after = out_of_fold_prior(other, folds)
    mine = pl.col("row_id").str.contains("^10[12]_")
    assert after.filter(mine).equals(before.filter(mine))
    assert not after.filter(~mine).equals(before.filter(~mine))
    assert sorted(before["row_id"]) == sorted(with_row_id(labels)["row_id"])


def test_out_of_fold_prior_gives_no_grade_probability_zero() -> None:
    labels = make_labels(4, empty=0).with_columns(
        grade=pl.when(pl.col("study_id") == 101).then(2).otherwise(0).cast(pl.Int8)
    )
    folds = pl.DataFrame({"study_id": [101, 102, 103, 104], "fold": [0, 1, 2, 3]})
    predicted = out_of_fold_prior(labels, folds)
    # Three studies are normal: (3.5, 0.5 x 2, 0.5 x 4) for the canal of the severe one.
    canal = predicted.filter(row_id="101_spinal_canal_stenosis_l1_l2").row(0)[1:]
    assert canal == pytest.approx((3.5 / 6.5, 1 / 6.5, 2 / 6.5))
    assert score(labels, predicted).score < 3


@pytest.mark.skipif("LSDC_REAL_DATA" not in os.environ, reason="LSDC_REAL_DATA is not set")
@pytest.mark.parametrize(
    "name", ["uniform", "weighted_prior_by_condition_and_level", "fourth_place_swin_t_oof"]
)
def test_metric_equals_the_original_on_real_labels(name: str) -> None:
    real = Path(os.environ["LSDC_REAL_DATA"])
    expected = json.loads((real / "oof" / "expected_scores.json").read_text(encoding="utf-8"))
    labels = read_labels(real / "competition")
    if name == "uniform":
        thirds = [pl.lit(1 / 3).alias(column) for column in PROBABILITIES]
        predictions = with_row_id(labels).select("row_id", *thirds)
    elif name == "weighted_prior_by_condition_and_level":
        predictions = weighted_prior(labels)
    else:
        predictions = read_predictions(real / "oof" / f"{name}.csv")
    assert score(labels, predictions).as_dict() == pytest.approx(expected[name], abs=1e-9, rel=0)
