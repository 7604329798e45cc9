"""The submission: every row id in order, with probabilities that sum to one."""

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.competition.row_ids import split_row_ids
from lsdc.challenges.lumbar.scoring.prior import prior_table
from lsdc.challenges.lumbar.scoring.submission import assemble_submission
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS
from lsdc.errors import DataError

ROW_IDS = [f"{study}_{c}_{lv}" for study in (9, 8) for lv in LEVELS for c in reversed(CONDITIONS)]


@pytest.fixture
def prior() -> pl.DataFrame:
    cells = [(1, str(c), str(lv), n % 3) for n, c in enumerate(CONDITIONS) for lv in LEVELS]
    schema = {"study_id": pl.Int64, "condition": pl.String, "level": pl.String, "grade": pl.Int8}
    return prior_table(pl.DataFrame(cells, schema=schema, orient="row"), smoothing=0.5)


def predictions_of(row_ids: list[str]) -> pl.DataFrame:
    values = np.random.default_rng(0).dirichlet((1, 1, 1), len(row_ids))
    cells = split_row_ids(pl.Series(row_ids, dtype=pl.String), "test")
    return cells.hstack(pl.DataFrame(values, schema=list(PROBABILITIES)))


def test_submission_has_every_row_id_in_order_with_its_prediction(prior: pl.DataFrame) -> None:
    predictions = predictions_of(ROW_IDS)
    shuffled = predictions.sample(fraction=1, shuffle=True, seed=1)
    submission = assemble_submission(shuffled, ROW_IDS, prior)
    assert submission.columns == ["row_id", *PROBABILITIES]
    assert submission["row_id"].to_list() == ROW_IDS
    given = predictions.select(PROBABILITIES).to_numpy()
    np.testing.assert_allclose(submission.select(PROBABILITIES).to_numpy(), given, atol=1e-12)


def test_missing_predictions_get_the_prior_of_condition_and_level(
    prior: pl.DataFrame,
) -> None:
    submission = assemble_submission(predictions_of(ROW_IDS[:25]), ROW_IDS, prior)
    assert submission["row_id"].to_list() == ROW_IDS
    for row in submission.tail(25).iter_rows():
        condition, level = row[0].removeprefix("8_")[:-6], row[0][-5:]
        expected = prior.filter(condition=condition, level=level).row(0)[2:]
        assert row[1:] == pytest.approx(expected)


def test_submission_without_predictions_is_the_prior(prior: pl.DataFrame) -> None:
    submission = assemble_submission(predictions_of([]), ROW_IDS, prior)
    assert submission.height == 50
    assert not submission.select(pl.any_horizontal(pl.all().is_null())).to_series().any()


def test_rows_sum_to_one(prior: pl.DataFrame) -> None:
    scaled = predictions_of(ROW_IDS).with_columns(pl.col(PROBABILITIES) * 7)
    submission = assemble_submission(scaled, ROW_IDS, prior)
    assert (submission.select(pl.sum_horizontal(PROBABILITIES)).to_series() - 1).abs().max() < 1e-12


def test_extra_predictions_are_dropped(prior: pl.DataFrame) -> None:
    submission = assemble_submission(predictions_of(ROW_IDS), ROW_IDS[3:5], prior)
    assert submission["row_id"].to_list() == ROW_IDS[3:5]


def test_repeated_prediction_is_refused(prior: pl.DataFrame) -> None:
    predictions = predictions_of(ROW_IDS)
    with pytest.raises(DataError, match=r"predictions: 1 row .* repeated"):
        assemble_submission(pl.concat([predictions, predictions.head(1)]), ROW_IDS, prior)


def test_invalid_prediction_is_refused(prior: pl.DataFrame) -> None:
    predictions = predictions_of(ROW_IDS).with_columns(severe=pl.lit(np.nan))
    with pytest.raises(DataError, match=r"predictions: 50 rows .* with NaN"):
        assemble_submission(predictions, ROW_IDS, prior)


def test_row_id_with_an_unknown_level_is_refused(prior: pl.DataFrame) -> None:
    with pytest.raises(DataError, match="9_spinal_canal_stenosis_l6_l7"):
        assemble_submission(predictions_of([]), ["9_spinal_canal_stenosis_l6_l7"], prior)


def test_competition_without_test_rows_is_refused(prior: pl.DataFrame) -> None:
    with pytest.raises(DataError, match="lists no row id"):
        assemble_submission(predictions_of([]), [], prior)


def test_row_ids_with_leading_zeros_get_their_predictions(
    prior: pl.DataFrame,
) -> None:
    asked = [f"00{row_id}" for row_id in ROW_IDS]
    predictions = predictions_of(ROW_IDS)
    for given in (predictions, predictions.with_columns(row_id=pl.Series(asked))):
        submission = assemble_submission(given, asked, prior)
        assert submission["row_id"].to_list() == asked
        expected = assemble_submission(predictions, ROW_IDS, prior)
        assert submission.drop("row_id").equals(expected.drop("row_id"))
