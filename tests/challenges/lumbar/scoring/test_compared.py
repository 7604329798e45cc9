"""Intervals of scores, and comparisons of predictions on the same rows."""

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.competition.row_ids import row_id
from lsdc.challenges.lumbar.scoring.bootstrap import bootstrap
from lsdc.challenges.lumbar.scoring.compared import changed_cases, compare
from lsdc.challenges.lumbar.scoring.metric import score
from lsdc.challenges.lumbar.scoring.scored import Scored, scored
from lsdc.errors import DataError
from lsdc.tables.resampling import interval
from tests.challenges.lumbar.report.made_run import make_labels, predict


@pytest.fixture(scope="module")
def labels() -> pl.DataFrame:
    return make_labels()


@pytest.fixture(scope="module")
def one(labels: pl.DataFrame) -> Scored:
    return scored("one", labels, predict(labels, 1))


def test_bootstrap_equals_the_metric_of_the_drawn_studies(
    labels: pl.DataFrame, one: Scored
) -> None:
    drawn = bootstrap([one], draws=4, seed=7)[0]
    studies = one.rows["study_id"].unique().sort().to_list()
    chosen = np.random.default_rng(7).integers(len(studies), size=(4, len(studies)))
    predictions = predict(labels, 1)
    for draw, places in zip(drawn, chosen, strict=True):
        copies = []
        for number, place in enumerate(places):
            own = labels.filter(study_id=studies[place]).with_columns(row_id())
            both = own.join(predictions, on="row_id").drop("row_id")
            copies.append(both.with_columns(study_id=pl.lit(number + 1, dtype=pl.Int64)))
        rows = pl.concat(copies)
        expected = score(rows, rows.select(row_id(), *PROBABILITIES))
        assert draw == pytest.approx(list(expected.as_dict().values()), abs=1e-12)


def test_interval_of_equal_studies_is_a_point_and_of_a_run_with_itself_zero(
    labels: pl.DataFrame, one: Scored
) -> None:
    first = labels.filter(study_id=101)
    given = predict(first, 3)
    alike = pl.concat([first.with_columns(study_id=pl.lit(n, dtype=pl.Int64)) for n in (1, 2, 3)])
    copied = pl.concat(
        [
            given.with_columns(row_id=alike.filter(study_id=n).select(row_id())["row_id"])
            for n in (1, 2, 3)
        ]
    )
    found = scored("alike", alike, copied)
    span = interval(bootstrap([found], draws=50)[0, :, 0])
    assert span.low == pytest.approx(span.high) == pytest.approx(found.score.score)
    same = compare([one, Scored("again", one.rows)])
    assert all(
        each.interval.low == each.interval.high == 0 for each in same.differences[0].values()
    )


def test_paired_interval_is_narrower_than_that_of_either_run(labels: pl.DataFrame) -> None:
    given = predict(labels, 1)
    nudged = given.with_columns(pl.col(PROBABILITIES) * 0.99 + 0.01 / 3)
    found = compare([scored("a", labels, given), scored("b", labels, nudged)])
    score_a = found.intervals[0]["score"]
    difference = found.differences[0]["score"]
    own = difference.interval.high - difference.interval.low
    assert own < 0.2 * (score_a.high - score_a.low)


def test_changed_cases_start_with_the_planted_one(labels: pl.DataFrame, one: Scored) -> None:
    planted = one.rows.filter(pl.col("grade") == 2)["row_id"][5]
    hit = pl.col("row_id") == planted
    given = predict(labels, 1).with_columns(
        *(
            pl.when(hit).then(value).otherwise(name).alias(name)
            for name, value in zip(PROBABILITIES, (1 - 1e-6, 0.0, 1e-6), strict=True)
        )
    )
    rows = changed_cases(one, scored("other", labels, given))
    assert rows["row_id"][0] == planted
    assert rows["after"][0] == 0
    assert set(rows.filter(pl.col("change").abs() > 1e-12)["row_id"]) == {planted}


def test_changes_of_all_cases_add_up_to_the_difference_of_the_scores(
    labels: pl.DataFrame, one: Scored
) -> None:
    other = scored("other", labels, predict(labels, 2))
    rows = changed_cases(one, other)
    assert rows["change"].sum() == pytest.approx(other.score.score - one.score.score, abs=1e-12)
    sizes = rows["change"].abs().to_list()
    assert sizes == sorted(sizes, reverse=True)
    # A study's any_severe may be charged to another row than before: both then change by it.
    charged = one.cases.filter(pl.col("any_severe") > 0)["row_id"]
    now = other.cases.filter(pl.col("any_severe") > 0)["row_id"]
    assert set(charged) != set(now)


def test_runs_with_other_labels_or_studies_are_refused(labels: pl.DataFrame, one: Scored) -> None:
    other = labels.with_columns(grade=(pl.col("grade") + 1) % 3)
    with pytest.raises(DataError, match=r"one and other: .* rows have different grades"):
        compare([one, scored("other", other, predict(labels, 1))])
    apart = make_labels(studies=[1, 2, 3])
    with pytest.raises(DataError, match="one and apart: no labelled row in common"):
        compare([one, scored("apart", apart, predict(apart, 1))])
