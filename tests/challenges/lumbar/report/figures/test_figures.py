"""The numbers of a report: contributions, intervals, comparisons and chosen cases."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.competition.row_ids import row_id
from lsdc.challenges.lumbar.report.figures.calibration import reliability
from lsdc.challenges.lumbar.report.figures.chosen import choose_cases
from lsdc.challenges.lumbar.report.figures.mixups import mixed_up
from lsdc.challenges.lumbar.report.figures.sources import read_prediction_files
from lsdc.challenges.lumbar.report.figures.where import costliest, narrowed, where_lost
from lsdc.challenges.lumbar.report.page.build import build_report
from lsdc.challenges.lumbar.report.page.overview import explain_level
from lsdc.challenges.lumbar.scoring.scored import Scored, scored
from lsdc.report.reliability import FEWEST_ROWS
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
    costs = one.cases.group_by("level").agg(pl.col("cost").sum() / one.score.score)
    for level, cost in costs.iter_rows():
        assert lost.cost(level) == pytest.approx(cost, abs=1e-12)
    assert sum(map(lost.cost, lost.levels)) == pytest.approx(1, abs=1e-12)
    for found in (lost.cells, lost.levels, lost.conditions, lost.grades):
        groups = [*found.values(), lost.any_severe]
        assert sum(group.share for group in groups) == pytest.approx(1, abs=1e-12)
        assert sum(group.weight for group in groups) == pytest.approx(1, abs=1e-12)
        assert sum(group.rows for group in groups[:-1]) == one.rows.height


@pytest.mark.parametrize("seed", range(3))
def test_share_is_mean_loss_times_weight_over_score_in_every_group(seed: int) -> None:
    labels = make_labels(seed=seed)
    found = scored("random", labels, predict(labels, seed))
    lost = where_lost(found)
    of_part = found.rows.group_by("kind").agg(whole=pl.col("weight").sum())
    rows = found.rows.join(of_part, on="kind").with_columns(
        weight=pl.col("weight") / pl.col("whole") / 4
    )
    keys = {
        "level": lost.levels,
        "condition": lost.conditions,
        "grade": lost.grades,
    }
    for column, groups in keys.items():
        for key, group in groups.items():
            own = rows.filter(pl.col(column) == key)
            assert group.weight == pytest.approx(own["weight"].sum(), abs=1e-12)
            loss = np.average(own["loss"], weights=own["weight"])
            assert group.loss == pytest.approx(loss, abs=1e-12)
    every = [*keys["level"].values(), *keys["condition"].values(), *keys["grade"].values()]
    for group in (*every, *lost.cells.values(), lost.any_severe):
        assert group.share * found.score.score == pytest.approx(
            group.loss * group.weight, abs=1e-12
        )
    assert lost.any_severe.loss == pytest.approx(found.score.any_severe_spinal, abs=1e-12)
    reason = costliest(lost)
    others = rows.filter(pl.col("level") != reason.level)
    assert reason.loss_elsewhere == pytest.approx(
        np.average(others["loss"], weights=others["weight"]), abs=1e-12
    )


def test_costs_of_all_cases_add_up_to_the_score(one: Scored) -> None:
    assert one.cases["cost"].sum() == pytest.approx(one.score.score, abs=1e-12)
    charged = one.cases.filter(pl.col("any_severe") > 0)
    assert charged["study_id"].n_unique() == charged.height == one.any_severe.height
    assert set(charged["kind"]) == {"spinal"}


@pytest.mark.parametrize(
    ("grades", "severe", "blamed"),
    [
        ([0, 2, 2], [0.9, 0.1, 0.3], 2),  # the likelier of the severe labels, not the likeliest
        ([0, 1, 0], [0.2, 0.3, 0.6], 2),  # without a severe label, the likeliest
    ],
)
def test_missed_or_invented_severe_canal_answers_for_its_study(
    grades: list[int], severe: list[float], blamed: int
) -> None:
    labels = pl.DataFrame(
        {
            "study_id": 7,
            "condition": "spinal_canal_stenosis",
            "level": ["l1_l2", "l2_l3", "l3_l4"],
            "grade": pl.Series(grades, dtype=pl.Int8),
        }
    )
    given = labels.select(row_id()).with_columns(
        normal_mild=1 - pl.Series(severe), moderate=pl.lit(0.0), severe=pl.Series(severe)
    )
    found = scored("three", labels, given)
    assert found.cases["any_severe"].arg_max() == blamed
    assert found.cases["cost"].sum() == pytest.approx(found.score.score, abs=1e-12)


def test_contributions_add_up_without_a_canal_label(labels: pl.DataFrame) -> None:
    canal = pl.col("condition") == "spinal_canal_stenosis"
    bare = labels.with_columns(grade=pl.when(~canal).then("grade"))
    found = scored("bare", bare, predict(labels, 1))
    assert found.rows["share"].sum() == pytest.approx(found.score.score, abs=1e-12)
    lost = where_lost(found)
    assert lost.any_severe is None
    assert found.cases["cost"].sum() == pytest.approx(found.score.score, abs=1e-12)
    assert set(lost.any_severe_at.values()) == {0}
    assert sum(group.weight for group in lost.levels.values()) == pytest.approx(1, abs=1e-12)


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
    reason = costliest(where_lost(found))
    assert (reason.level, reason.condition) == ("l2_l3", "left_subarticular_stenosis")
    assert reason.own.loss > 2 * reason.loss_elsewhere
    condition = pl.col("condition") == reason.condition
    by_level = labels.drop_nulls("grade").filter(condition).group_by("level")
    shares = dict(by_level.agg((pl.col("grade") > 0).mean()).iter_rows())
    assert narrowed(reason.at_level) == pytest.approx(shares.pop("l2_l3"))
    assert sorted(map(narrowed, reason.at_others)) == pytest.approx(sorted(shares.values()))
    own = found.cases.filter(level="l2_l3")["cost"].sum()
    assert reason.cost == pytest.approx(own / found.score.score, abs=1e-12)
    said = explain_level(reason)
    assert said.startswith(f"L2/L3 costs most: {100 * reason.cost:.1f}\u00a0% of the score")
    assert "Its mean loss is higher" in said
    assert "left subarticular costs most" in said


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


def test_bins_of_few_rows_are_joined() -> None:
    random = np.random.default_rng(0)
    crowded = 0.5 * random.random(2_000)
    given = np.append(crowded, [0.55, 0.85, 0.95])  # the rest of the axis has three rows
    rows = pl.DataFrame({"grade": np.zeros(given.size, dtype=np.int8), "severe": given})
    curve = reliability(rows, 2)
    assert len(curve.predicted) == 5
    assert sum(curve.weight) == pytest.approx(1)
    assert min(curve.weight) * given.size >= FEWEST_ROWS
    assert max(curve.predicted) < 0.55
    assert curve.error == pytest.approx(given.mean())  # the grade is never observed
    few = reliability(rows.head(3), 2)
    assert few.predicted == (pytest.approx(given[:3].mean()),)


@pytest.mark.parametrize(
    ("chances", "found"),
    [
        ((0.9, 0.9), {"l3_l4", "l4_l5"}),
        ((0.9, 0.6), set()),  # one of the two is not clear
    ],
)
def test_planted_mix_up_of_levels_is_found(
    labels: pl.DataFrame, chances: tuple[float, float], found: set[str]
) -> None:
    swapped = {"l3_l4": (0, 2), "l4_l5": (2, 0)}  # grade, predicted grade
    canal = pl.col("condition") == "spinal_canal_stenosis"
    planted = labels.filter(canal, study_id=101).with_columns(
        grade=pl.col("level").replace_strict(
            {level: grade for level, (grade, _) in swapped.items()}, default=0, return_dtype=pl.Int8
        )
    )
    given = np.full((planted.height, 3), 0.03)
    given[:, 0] = 0.94
    for chance, (level, (_, grade)) in zip(chances, swapped.items(), strict=True):
        row = planted["level"].to_list().index(level)
        given[row] = (1 - chance) / 2
        given[row, grade] = chance
    table = planted.select(row_id()).hstack(pl.DataFrame(given, list(PROBABILITIES)))
    mixed = mixed_up(scored("planted", planted, table))
    assert set(mixed["level"]) == found
    assert all(set(pair) == found for pair in mixed.select("level", "other_level").iter_rows())
    assert all(
        tuple(pair) in {(0, 2), (2, 0)} for pair in mixed.select("grade", "other_grade").rows()
    )


def test_chosen_cases_are_the_same_each_time(one: Scored) -> None:
    chosen, again = choose_cases(one), choose_cases(one)
    assert chosen.random.equals(again.random)
    assert chosen.worst["cost"].is_sorted(descending=True)
    assert chosen.doubtful["entropy"].is_sorted(descending=True)
    assert chosen.worst["cost"][0] == one.cases["cost"].max()


def test_published_predictions_have_their_published_score(real_data: Path) -> None:
    (source,) = read_prediction_files(
        [real_data / "oof" / "fourth_place_swin_t_oof.csv"], real_data / "competition"
    )
    assert source.scored.score.score == pytest.approx(0.40090335, abs=1e-8)
    lost = where_lost(source.scored)
    assert costliest(lost).level == "l4_l5"
    assert lost.levels["l4_l5"].share == pytest.approx(0.2687, abs=1e-4)
    losses = [group.loss for group in lost.levels.values()]
    assert losses == pytest.approx([0.176, 0.333, 0.473, 0.565, 0.552], abs=6e-4)
    by_study = source.scored.cases.group_by("study_id").agg(pl.col("cost").sum())
    worst = by_study.sort("cost", descending=True)["study_id"].head(5).to_list()
    assert worst == [2782244888, 2966999234, 169651375, 358286753, 833869440]
    mixed = mixed_up(source.scored).filter(pl.col("row_id").str.starts_with("641070736_"))
    assert set(mixed["level"]) == {"l3_l4", "l4_l5"}


def test_page_of_all_published_predictions_is_light(real_data: Path) -> None:
    files = [real_data / "oof" / f"fourth_place_{name}_oof.csv" for name in ("swin_t", "v2s")]
    html = build_report(read_prediction_files(files, real_data / "competition"))
    assert len(html.encode()) < 4e6
    page = read_page(html)
    assert len(page.cases["labels"]) == 48_803
    study = page.cases["groups"].index("641070736")
    notes = [
        note
        for case, note in page.cases["notes"].items()
        if page.cases["group"][int(case)] == study
    ]
    assert "L4/L5 is labelled severe and predicted normal/mild" in " ".join(notes)
    assert "is 0.0015 higher (worse)" in page.words
