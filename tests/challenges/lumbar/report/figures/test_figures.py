"""The numbers of a report: contributions, intervals, comparisons and chosen cases."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.competition.row_ids import row_id
from lsdc.challenges.lumbar.report.figures.calibration import reliability
from lsdc.challenges.lumbar.report.figures.chosen import choose_cases
from lsdc.challenges.lumbar.report.figures.sources import read_prediction_files
from lsdc.challenges.lumbar.report.figures.where import costliest, where_lost
from lsdc.challenges.lumbar.report.page.build import build_report
from lsdc.challenges.lumbar.scoring.bootstrap import bootstrap, interval
from lsdc.challenges.lumbar.scoring.compared import changed_cases, compare
from lsdc.challenges.lumbar.scoring.metric import score
from lsdc.challenges.lumbar.scoring.scored import Scored, scored
from lsdc.errors import DataError
from tests.challenges.lumbar.report.made_run import make_labels, predict
from tests.report.reading import read_page


@pytest.fixture(scope="module")
def labels() -> pl.DataFrame:
    return make_labels()


@pytest.fixture(scope="module")
def one(labels: pl.DataFrame) -> Scored:
    return scored("one", labels, predict(labels, 1))


def test_contributions_add_up_to_the_score(one: Scored) -> None:
    total = one.rows["share"].sum() + one.any_severe["share"].sum()
    assert total == pytest.approx(one.score.score, abs=1e-12)
    lost = where_lost(one)
    for groups in (lost.cells, lost.levels, lost.conditions, lost.grades):
        whole = sum(group.share for group in groups.values()) + lost.any_severe
        assert whole == pytest.approx(1, abs=1e-12)
        assert sum(group.weight for group in groups.values()) == pytest.approx(1, abs=1e-12)
        assert sum(group.rows for group in groups.values()) == one.rows.height


def test_contributions_add_up_without_a_canal_label(labels: pl.DataFrame) -> None:
    canal = pl.col("condition") == "spinal_canal_stenosis"
    bare = labels.with_columns(grade=pl.when(~canal).then("grade"))
    found = scored("bare", bare, predict(labels, 1))
    assert found.rows["share"].sum() == pytest.approx(found.score.score, abs=1e-12)


def test_planted_costliest_level_is_found(labels: pl.DataFrame) -> None:
    given = predict(labels, 1)
    wrong = pl.col("row_id").str.ends_with("left_subarticular_stenosis_l2_l3")
    for name, value in zip(PROBABILITIES, (1e-9, 1e-9, 1e-9), strict=True):
        given = given.with_columns(pl.when(wrong).then(value).otherwise(name).alias(name))
    grades = labels["grade"].fill_null(0)
    far = [PROBABILITIES[2 - grade] if grade != 1 else PROBABILITIES[0] for grade in grades]
    for name in PROBABILITIES:
        hit = wrong & (pl.Series("far", far) == name)
        given = given.with_columns(pl.when(hit).then(1.0).otherwise(name).alias(name))
    found = scored("wrong", labels, given)
    reason = costliest(found, where_lost(found))
    assert (reason.level, reason.condition) == ("l2_l3", "left_subarticular_stenosis")
    assert reason.own.loss > 2 * reason.loss_elsewhere


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
    assert all(each.interval.low == each.interval.high == 0 for each in same.differences[0])


def test_paired_interval_is_narrower_than_that_of_either_run(labels: pl.DataFrame) -> None:
    given = predict(labels, 1)
    nudged = given.with_columns(pl.col(PROBABILITIES) * 0.99 + 0.01 / 3)
    found = compare([scored("a", labels, given), scored("b", labels, nudged)])
    score_a, *_ = found.intervals[0]
    difference, *_ = found.differences[0]
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
    assert rows.filter(pl.col("change") != 0).height == 1


def test_runs_with_other_labels_or_studies_are_refused(labels: pl.DataFrame, one: Scored) -> None:
    other = labels.with_columns(grade=(pl.col("grade") + 1) % 3)
    with pytest.raises(DataError, match=r"one and other: .* rows have different grades"):
        compare([one, scored("other", other, predict(labels, 1))])
    apart = make_labels(studies=[1, 2, 3])
    with pytest.raises(DataError, match="one and apart: no labelled row in common"):
        compare([one, scored("apart", apart, predict(apart, 1))])


def test_calibrated_predictions_lie_on_the_diagonal() -> None:
    random = np.random.default_rng(0)
    size = 40_000
    severe = random.random(size)
    # Frequencies whose weighted form is the prediction: odds of severe against normal are 4 to 1.
    chance = severe / 4 / (severe / 4 + 1 - severe)
    rows = pl.DataFrame({"grade": 2 * (random.random(size) < chance), "severe": severe})
    curve = reliability(rows, 2)
    assert curve.error < 0.02
    assert sum(curve.weight) == pytest.approx(1)
    assert reliability(rows.with_columns(severe=1 - pl.col("severe")), 2).error > 0.4


def test_chosen_cases_are_the_same_each_time(one: Scored) -> None:
    chosen, again = choose_cases(one), choose_cases(one)
    assert chosen.random.equals(again.random)
    assert chosen.worst["share"].is_sorted(descending=True)
    assert chosen.doubtful["entropy"].is_sorted(descending=True)
    assert chosen.worst["share"][0] == one.rows["share"].max()


def test_published_predictions_have_their_published_score(real_data: Path) -> None:
    (source,) = read_prediction_files(
        [real_data / "oof" / "fourth_place_swin_t_oof.csv"], real_data / "competition"
    )
    assert source.scored.score.score == pytest.approx(0.40090335, abs=1e-8)
    lost = where_lost(source.scored)
    assert costliest(source.scored, lost).level == "l4_l5"
    assert lost.levels["l4_l5"].share == pytest.approx(0.2687, abs=1e-4)


def test_page_of_all_published_predictions_is_light(real_data: Path) -> None:
    files = [real_data / "oof" / f"fourth_place_{name}_oof.csv" for name in ("swin_t", "v2s")]
    html = build_report(read_prediction_files(files, real_data / "competition"))
    assert len(html.encode()) < 4e6
    page = read_page(html)
    assert len(page.cases["labels"]) == 48_803
    assert "is 0.0015 higher (worse)" in page.words
