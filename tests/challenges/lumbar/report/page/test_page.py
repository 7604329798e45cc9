"""The page of a report: every number is recomputed here from the run's tables."""

import json
import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import log_loss

from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.challenges.lumbar.report.figures.sources import PredictionSource, read_run
from lsdc.challenges.lumbar.report.page.build import build_report
from lsdc.challenges.lumbar.report.page.words import CONDITION_NAMES, LEVEL_NAMES
from lsdc.challenges.lumbar.scoring.scored import scored
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADES, LEVELS
from lsdc.store.home import Home
from tests.challenges.lumbar.report.made_run import STUDIES, make_labels, predict, write_run
from tests.report.reading import ReadPage, number, read_page

NAMES = [str(grade) for grade in GRADES]
WEIGHTS = np.array([1.0, 2.0, 4.0])
KINDS = {"spinal": "Spinal canal", "foraminal": "Foraminal", "subarticular": "Subarticular"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    root = tmp_path_factory.mktemp("home")
    write_run(root)
    return write_run(root, "demo@seed-1", seed=50, changed={"seed": 1})


@pytest.fixture(scope="module")
def page(home: Home) -> ReadPage:
    return read_page(build_report([read_run(home, "demo")]))


@pytest.fixture(scope="module")
def two(home: Home) -> ReadPage:
    return read_page(build_report([read_run(home, name) for name in ("demo", "demo@seed-1")]))


@pytest.fixture(scope="module")
def oof(home: Home) -> pl.DataFrame:
    """Return the labelled rows of the first run's table."""
    return pl.read_parquet(home.run("demo") / "oof.parquet").filter(pl.col("label").is_not_null())


def part(rows: pl.DataFrame, kind: str) -> float:
    """Return a part of the score, by scikit-learn."""
    if kind == "any severe":
        return any_severe(rows)
    own = rows.filter(pl.col("condition").str.contains(kind))
    weights = WEIGHTS[own["label"].to_numpy()]
    given = own.select(NAMES).to_numpy()
    return float(log_loss(own["label"], given, sample_weight=weights, labels=[0, 1, 2]))


def any_severe(rows: pl.DataFrame) -> float:
    return sum(any_severe_by_level(rows).values())


def any_severe_by_level(rows: pl.DataFrame) -> Counter[str]:
    """Split the part among the levels of the cases that answer for it."""
    canal = rows.filter(condition="spinal_canal_stenosis")
    losses: Counter[str] = Counter()
    weights = 0.0
    for study in canal["study_id"].unique():
        own = canal.filter(study_id=study)
        weight, highest = max(WEIGHTS[own["label"].to_numpy()]), own["severe"].max()
        severe = own.filter(label=2)
        right = highest if severe.height else 1 - highest
        answers = severe if severe.height else own
        level = answers["level"][answers["severe"].arg_max()]
        losses[level] -= weight * math.log(right)
        weights += weight
    return Counter({level: loss / weights for level, loss in losses.items()})


def parts(rows: pl.DataFrame) -> dict[str, float]:
    found = {name: part(rows, kind) for kind, name in KINDS.items()}
    found["Any severe canal"] = any_severe(rows)
    return found | {"Score": sum(found.values()) / 4}


def shares(rows: pl.DataFrame) -> dict[tuple[str, str], float]:
    """Return what each condition and level contributes to the score, row by row."""
    of_kind = dict.fromkeys(KINDS, 0.0)
    kinds = [next(kind for kind in KINDS if kind in name) for name in rows["condition"]]
    for kind, label in zip(kinds, rows["label"], strict=True):
        of_kind[kind] += WEIGHTS[label]
    found: Counter[tuple[str, str]] = Counter()
    for kind, row in zip(kinds, rows.iter_rows(named=True), strict=True):
        loss = -math.log(row[NAMES[row["label"]]])
        cost = WEIGHTS[row["label"]] * loss / of_kind[kind] / 4
        found[row["condition"], row["level"]] += cost
    return found


def test_losses_of_each_fold_and_of_all_are_those_of_the_table(
    page: ReadPage, oof: pl.DataFrame, home: Home
) -> None:
    head, *rows = page.tables["Log loss by fold, lower is better"]
    assert head == ["", "Fold 0", "Fold 1", "Fold 2", "All", "Prior", "95 % interval of all"]
    columns = [*(parts(oof.filter(fold=fold)) for fold in range(3)), parts(oof)]
    scores = json.loads((home.run("demo") / "scores.json").read_text())
    prior = scores["weighted_prior"]
    priors = dict(zip(columns[0], [*list(prior.values())[1:], prior["score"]], strict=True))
    assert len(rows) == 5
    for name, *shown, _ in rows:
        expected = [column[name] for column in columns] + [priors[name]]
        assert list(map(float, shown)) == pytest.approx(expected, abs=5.1e-5), name
    assert f"{scores['score']:.4f}" in page.words


def test_heat_map_has_the_share_and_the_mean_loss_of_each_cell(
    page: ReadPage, oof: pl.DataFrame
) -> None:
    head, *rows = page.tables["Share of the score in %, and mean loss of the labels"]
    assert head == ["", *LEVEL_NAMES.values(), "All"]
    score, expected = parts(oof)["Score"], shares(oof)
    shown = {name: cells for name, *cells in rows}
    total = 0.0
    for condition in CONDITIONS:
        for level, cell in zip(LEVELS, shown[CONDITION_NAMES[condition]], strict=False):
            share, loss = map(float, cell.split())
            assert share == pytest.approx(100 * expected[condition, level] / score, rel=0.06)
            own = oof.filter(condition=condition, level=level)
            losses = [-math.log(row[NAMES[row["label"]]]) for row in own.iter_rows(named=True)]
            weights = WEIGHTS[own["label"].to_numpy()]
            assert loss == pytest.approx(np.average(losses, weights=weights), abs=0.0051)
            total += share
    severe, severe_loss = map(float, shown["Any severe canal"][-1].split())
    assert severe == pytest.approx(100 * any_severe(oof) / 4 / score, abs=0.051)
    assert severe_loss == pytest.approx(any_severe(oof), abs=0.0051)
    assert total + severe == pytest.approx(100, abs=2)
    charged = any_severe_by_level(oof)
    for level, own, cell in zip(LEVELS, shown["Any severe canal"], shown["All"], strict=False):
        assert (number(own) if own else 0) == pytest.approx(
            100 * charged[level] / 4 / score, abs=0.051
        )
        labels = sum(cost for (_, at), cost in expected.items() if at == level)
        share, loss = map(float, cell.split())
        assert share == pytest.approx(100 * (labels + charged[level] / 4) / score, abs=0.051)
        assert loss == pytest.approx(level_loss(oof, level), abs=0.0051)


def test_map_of_labels_has_the_shares_of_severe_and_moderate(
    page: ReadPage, oof: pl.DataFrame
) -> None:
    _, *rows = page.tables["Severe labels in %, and moderate ones"]
    shown = {name: cells for name, *cells in rows}
    for condition in CONDITIONS:
        for level, cell in zip(LEVELS, shown[CONDITION_NAMES[condition]], strict=False):
            own = oof.filter(condition=condition, level=level)["label"]
            expected = [100 * (own == grade).mean() for grade in (2, 1)]
            assert [number(each) for each in cell.split()] == pytest.approx(expected, abs=0.051)


def level_loss(rows: pl.DataFrame, level: str) -> float:
    """Return the mean loss of a level; rows of all parts weigh as in the score."""
    own = [
        (WEIGHTS[row["label"]] / of_kind, -math.log(row[NAMES[row["label"]]]))
        for kind in by_kind(rows).values()
        for of_kind in [WEIGHTS[kind["label"].to_numpy()].sum()]
        for row in kind.filter(level=level).iter_rows(named=True)
    ]
    weights, losses = zip(*own, strict=True)
    return float(np.average(losses, weights=weights))


def test_shown_mean_loss_times_weight_is_the_share_of_each_row(
    page: ReadPage, oof: pl.DataFrame
) -> None:
    score = parts(oof)["Score"]
    for caption in ("By level", "By condition", "By label"):
        (_, *head), *rows = page.tables[caption]
        for name, *cells in rows:
            row = dict(zip(head, cells, strict=True))
            expected = number(row["Weight"]) * number(row["Mean loss"]) / score
            expected += number(row.get("Any severe canal", "0"))
            assert number(row["Share of score"]) == pytest.approx(expected, abs=0.35), name
    _, *conditions = page.tables["By condition"]
    for column in (-3, -1):  # weight, share of the score
        assert sum(number(row[column]) for row in conditions) == pytest.approx(100, abs=0.31)
    _, *levels = page.tables["By level"]
    assert sum(number(row[-1]) for row in levels) == pytest.approx(100, abs=0.31)


def test_cases_have_the_loss_and_the_share_of_each_labelled_row(
    page: ReadPage, oof: pl.DataFrame
) -> None:
    cases = page.cases
    (run,) = cases["runs"]
    facets = {facet["word"]: number for number, facet in enumerate(cases["facets"])}
    assert len(cases["labels"]) == len(oof)
    rows = {row["row_id"]: row for row in oof.iter_rows(named=True)}
    for case, label in enumerate(cases["labels"]):
        condition, level, fold = (
            cases["facets"][facets[word]]["ids"][cases["values"][facets[word]][case]]
            for word in ("condition", "level", "fold")
        )
        row = rows.pop(f"{cases['groups'][cases['group'][case]]}_{condition}_{level}")
        assert (label, int(fold)) == (row["label"], row["fold"])
        given = [column[case] / cases["parts"] for column in run["probabilities"]]
        assert given == pytest.approx([row[name] for name in NAMES], abs=6e-5)
        expected = -math.log(row[NAMES[label]])
        assert run["losses"][case] / cases["parts"] == pytest.approx(expected, abs=6e-5)
    assert not rows
    assert sum(run["shares"]) / cases["shares"] == pytest.approx(100, abs=0.01)
    of_severe = 100 * any_severe(oof) / 4 / parts(oof)["Score"]
    assert sum(run["extras"].values()) / cases["shares"] == pytest.approx(of_severe, abs=0.01)


def test_confusion_matrices_count_the_rows(page: ReadPage, oof: pl.DataFrame) -> None:
    for kind, name in KINDS.items():
        own = oof.filter(pl.col("condition").str.contains(kind))
        found = Counter(
            (row["label"], max(range(3), key=lambda grade: row[NAMES[grade]]))
            for row in own.iter_rows(named=True)
        )
        _, *rows = page.tables[f"{name}: labels (rows), predictions"]
        shown = [[int(number(cell)) for cell in cells] for _, *cells in rows]
        assert shown == [[found[label, guess] for guess in range(3)] for label in range(3)]


def test_calibration_error_is_the_weighted_distance_in_bins_of_twenty_rows(
    page: ReadPage, oof: pl.DataFrame
) -> None:
    own = oof.filter(pl.col("condition").str.contains("foraminal"))
    bins = [own.filter((10 * pl.col("severe")).floor().clip(0, 9) == n) for n in range(10)]
    joined: list[list[pl.DataFrame]] = [[]]
    for held in bins:
        joined[-1].append(held)
        if sum(map(len, joined[-1])) >= 20:
            joined.append([])
    rest = joined.pop()
    joined[-1] += rest
    assert len(joined) > 1
    sums = np.zeros((len(joined), 3))
    for place, held in enumerate(joined):
        for row in pl.concat(held).iter_rows(named=True):
            weight = WEIGHTS[row["label"]]
            sums[place] += weight, weight * row["severe"], weight * (row["label"] == 2)
    expected = np.abs(sums[:, 1] - sums[:, 2]).sum() / sums[:, 0].sum()
    foraminal = page.words[page.words.index("Frequencies are weighted") :].split("Foraminal")[1]
    assert f"severe, ECE {expected:.3f}" in foraminal[: foraminal.index("Subarticular")]


def test_ten_cases_are_those_that_cost_most_with_any_severe_canal(
    page: ReadPage, oof: pl.DataFrame
) -> None:
    weights = {kind: WEIGHTS[own["label"].to_numpy()].sum() for kind, own in by_kind(oof).items()}
    costs = {
        row["row_id"]: -WEIGHTS[row["label"]] * math.log(row[NAMES[row["label"]]]) / weights[kind]
        for kind, own in by_kind(oof).items()
        for row in own.iter_rows(named=True)
    }
    canal = by_kind(oof)["spinal"]
    studies = [canal.filter(study_id=study) for study in canal["study_id"].unique()]
    whole = sum(max(WEIGHTS[study["label"].to_numpy()]) for study in studies)
    for study in studies:
        severe = study.filter(label=2)
        blamed = (study if severe.is_empty() else severe).sort("severe")["row_id"][-1]
        highest = study["severe"].max()
        right = 1 - highest if severe.is_empty() else highest
        costs[blamed] -= max(WEIGHTS[study["label"].to_numpy()]) * math.log(right) / whole
    worst = sorted(costs, key=lambda key: -costs[key])[:10]
    linked = [link.removeprefix("#case=") for link in page.links if link.startswith("#case=")]
    assert linked[:10] == worst


def by_kind(rows: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return {kind: rows.filter(pl.col("condition").str.contains(kind)) for kind in KINDS}


def test_records_of_the_run_are_shown(page: ReadPage) -> None:
    assert page.tables["Time and memory of the stages"][1:] == [
        ["index train", "1 min 15 s", "321 MB", "2026-11-30 08:20"],
        ["oof", "1 min 15 s", "321 MB", "2026-11-30 08:20"],
    ]
    assert page.tables["All 1 correction"][1][:5] == [
        *("sides swapped", "102", "8", "5", "Left subarticular L4/L5"),
    ]
    assert page.tables["List 1 file"][1][:4] == ["101", "7", "3", "index"]
    assert ["training.epochs", "2"] in page.tables["All 3 settings"]
    assert "torch 2.9.0" in page.words
    assert [row[0] for row in page.tables["Trained folds"][1:]] == ["Fold 0", "Fold 1", "Fold 2"]


def test_page_loads_nothing_and_names_no_path_of_an_image(page: ReadPage) -> None:
    assert [address for address in page.loaded if not address.startswith("data:")] == []
    assert [link for link in page.links if not link.startswith("#")] == []
    assert "/home/someone" not in page.words


def test_two_runs_have_differences_and_changed_settings(two: ReadPage, home: Home) -> None:
    tables = [pl.read_parquet(home.run(n) / "oof.parquet") for n in ("demo", "demo@seed-1")]
    first, other = (parts(rows.filter(pl.col("label").is_not_null())) for rows in tables)
    _, *rows = two.tables["demo@seed-1 minus demo, paired by study"]
    for name, shown, span in rows:
        assert number(shown) == pytest.approx(other[name] - first[name], abs=5.1e-5)
        low, high = (number(each) for each in span.split(" to "))
        assert low <= number(shown) <= high
    for name, rows in zip(("demo", "demo@seed-1"), tables, strict=True):
        *_, (_, *shown, _) = two.tables[f"Log loss by fold, lower is better: {name}"]
        labelled = rows.filter(pl.col("label").is_not_null())
        expected = [parts(labelled.filter(fold=fold))["Score"] for fold in range(3)]
        assert list(map(float, shown[:3])) == pytest.approx(expected, abs=5.1e-5)
    assert two.tables["Settings that differ"][1:] == [["seed", "0", "1"]]
    assert [run["name"] for run in two.cases["runs"]] == ["demo", "demo@seed-1"]
    assert "different folds" not in two.words


def test_other_folds_and_missing_rows_are_said(tmp_path: Path) -> None:
    write_run(tmp_path)
    turned = pl.DataFrame(
        {"study_id": list(STUDIES[:10]), "fold": [1, 0] * 5},
        schema={"study_id": pl.Int64, "fold": pl.Int32},
    )
    labels = make_labels().filter(pl.col("study_id").is_in(list(STUDIES[:10])))
    home = write_run(tmp_path, "demo@other", labels=labels, folds=turned)
    words = read_page(build_report([read_run(home, n) for n in ("demo", "demo@other")])).words
    lost = make_labels().filter(pl.col("study_id").is_in(list(STUDIES[10:])))["grade"].count()
    assert f"demo scores {lost} rows that not all runs score" in words
    assert "demo and demo@other have different folds: 7 of 10 studies" in words


def test_caveats_and_scores_of_the_lab_log_are_said(tmp_path: Path) -> None:
    home = write_run(tmp_path, experiment="exp118")
    path = home.run("demo") / "scores.json"
    marked = {"partial": True, "selected": True}
    path.write_text(json.dumps(json.loads(path.read_text()) | marked))
    page = read_page(build_report([read_run(home, "demo")]))
    assert "Reported 0.4143 by the lab log, its fold 0" in page.words
    *_, reported = page.tables["Log loss by fold, lower is better"]
    assert reported[:2] == ["Score in the lab log", "0.4143"]
    assert "demo is partial: only the studies of fold 0, 1, 2 are scored" in page.words
    assert "demo chose its epochs on the scored folds, so its score is too good" in page.words


def test_labels_that_a_fold_left_out_are_counted(tmp_path: Path) -> None:
    home = write_run(tmp_path)
    for fold, doubted in ((0, 0), (1, 1234)):
        facts = home.fold("demo", fold) / "fit.json"
        facts.write_text(json.dumps(json.loads(facts.read_text()) | {"doubted": doubted}))
    head, *rows = read_page(build_report([read_run(home, "demo")])).tables["Trained folds"]
    assert head[-1] == "Labels left out"
    assert [row[-1] for row in rows[:2]] == ["0", "1,234"]


def test_expected_score_of_a_preset_is_called_an_estimate(tmp_path: Path) -> None:
    low, high = EXPERIMENTS.load("winners-joint").expected.oof or (0, 0)
    home = write_run(tmp_path, experiment="winners-joint")
    words = read_page(build_report([read_run(home, "demo")])).words
    assert f"Expected {low:.3f} to {high:.3f} all folds on the competition's data, an e" in words


def test_predictions_without_folds_show_the_losses_and_the_worst_cases_once() -> None:
    labels = make_labels()
    found = scored("plain", labels, predict(labels, 1))
    html = build_report([PredictionSource("plain", found)])
    page = read_page(html)
    head, *rows = page.tables["Log loss, lower is better"]
    assert head == ["", "Loss", "Prior", "95 % interval"]
    assert rows[-1][:2] == ["Score", f"{found.score.score:.4f}"]
    assert "Losses with 95 % intervals" not in html
    lists = re.findall(r"<h3>(.*?)</h3>", html)
    assert lists == ["The 10 cases that cost most", "Most doubtful", "Random"]


def test_words_of_a_run_cannot_become_markup(tmp_path: Path) -> None:
    home = write_run(tmp_path, changed={"<script>alert(1)</script>": "</script><img src=x>"})
    html = build_report([read_run(home, "demo")])
    assert "<script>alert" not in html
    assert "<img src=x>" not in html
    assert "<script>alert(1)</script>" in read_page(html).words
