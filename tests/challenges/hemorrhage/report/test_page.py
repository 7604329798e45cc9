"""The page of a report: every number is recomputed here from the run's tables."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from lsdc.challenges.hemorrhage.challenge import HEMORRHAGE
from lsdc.challenges.hemorrhage.report.card import build_card
from lsdc.challenges.hemorrhage.report.figures.chosen import spread_cases
from lsdc.challenges.hemorrhage.report.figures.scored import Scored
from lsdc.challenges.hemorrhage.report.figures.sources import read_run
from lsdc.challenges.hemorrhage.report.page.build import build_report
from lsdc.errors import DataError
from lsdc.store.home import Home
from tests.challenges.hemorrhage.report.made_run import (
    FOLDS,
    SLICES,
    STUDIES,
    UNREADABLE,
    deal,
    make_images,
    make_labels,
    predict,
    study_of,
    write_run,
)
from tests.report.reading import ReadPage, number, read_page

LABELS = [
    *("epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural"),
    "any",
]
WEIGHTS = np.array([1, 1, 1, 1, 1, 2]) / 7


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    root = tmp_path_factory.mktemp("home")
    write_run(root)
    return write_run(root, "ich-demo@seed-1", seed=50, changed={"seed": 1})


@pytest.fixture(scope="module")
def page(home: Home) -> ReadPage:
    return read_page(build_report([read_run(home, "ich-demo")]))


@pytest.fixture(scope="module")
def oof(home: Home) -> pl.DataFrame:
    return pl.read_parquet(home.run("ich-demo") / "oof.parquet")


def parts(rows: pl.DataFrame) -> dict[str, float]:
    """Return the six losses and the score, by scikit-learn."""
    found = [log_loss(rows[f"label_{name}"], rows[name], labels=[0, 1]) for name in LABELS]
    names = [name.capitalize() for name in LABELS]
    return dict(zip(names, found, strict=True)) | {"Score": float(np.dot(found, WEIGHTS))}


def costs(rows: pl.DataFrame) -> np.ndarray:
    """Return each label's part of the score in per cent, (images, labels)."""
    labels = rows.select(f"label_{name}" for name in LABELS).to_numpy()
    given = rows.select(LABELS).to_numpy()
    found = -np.log(np.where(labels == 1, given, 1 - given)) * WEIGHTS / rows.height
    return 100 * found / found.sum()


def test_losses_of_folds_and_of_all_are_those_of_the_table(
    page: ReadPage, oof: pl.DataFrame, home: Home
) -> None:
    head, *rows, priors = page.tables["Log loss by fold, lower is better"]
    folds = [f"Fold {fold}" for fold in range(FOLDS)]
    assert head == ["", *folds, "All", "Prior", "95 % interval of all"]
    columns = [*(parts(oof.filter(fold=fold)) for fold in range(FOLDS)), parts(oof)]
    scores = json.loads((home.run("ich-demo") / "scores.json").read_text())
    for name, *shown, interval in rows:
        prior = scores["weighted_prior"][name.lower()]
        expected = [*(column[name] for column in columns), prior]
        assert list(map(float, shown)) == pytest.approx(expected, abs=5.1e-5), name
        low, high = map(float, interval.split(" to "))
        assert low < columns[-1][name] < high
    assert [row[0] for row in rows] == [*columns[0]]
    by_fold = [scores["folds"][str(fold)]["weighted_prior"]["score"] for fold in range(FOLDS)]
    assert list(map(float, priors[1 : 1 + FOLDS])) == pytest.approx(by_fold, abs=5.1e-5)
    assert f"{scores['score']:.4f}" in page.words


def test_labels_have_their_slices_losses_and_ranks(page: ReadPage, oof: pl.DataFrame) -> None:
    _, *rows = page.tables["Labels"]
    ranks = {row[0]: row[1:] for row in page.tables["Agreement by label"][1:]}
    of_label = costs(oof).sum(axis=0)
    for column, (name, row) in enumerate(zip(LABELS, rows, strict=True)):
        labels = oof[f"label_{name}"]
        assert row[0] == name.capitalize()
        assert number(row[1]) == labels.sum()
        assert float(row[2]) == pytest.approx(parts(oof)[row[0]], abs=5.1e-5)
        auc = roc_auc_score(labels, oof[name])
        assert float(row[4]) == pytest.approx(auc, abs=5.1e-4)
        assert number(row[5]) == pytest.approx(of_label[column], abs=0.051)
        found = oof.filter(pl.col(f"label_{name}") == 1, pl.col(name) >= 0.5).height
        assert number(ranks[row[0]][5]) == pytest.approx(100 * found / labels.sum(), abs=0.051)


def test_shares_by_label_kind_height_and_study_are_those_of_the_table(
    page: ReadPage, oof: pl.DataFrame
) -> None:
    cost = costs(oof)
    of_image = pl.Series(cost.sum(axis=1))
    number_of = oof["image_id"].str.slice(3).str.to_integer(base=16) % SLICES
    height = (number_of * 5 / SLICES).floor()
    bleeds = oof["label_any"] == 1
    affected = oof.select(pl.col("label_any").max().over("study_id") == 1).to_series()

    shown = [number(row[-1]) for row in page.tables["By label"][1:]]
    labels = oof.select(f"label_{name}" for name in LABELS).to_numpy()
    by_label = [cost[labels[:, k] == has, k].sum() for k in range(6) for has in (0, 1)]
    assert shown == pytest.approx(by_label, abs=0.051)
    shown = [number(row[-1]) for row in page.tables["By kind of slice"][1:]]
    kinds = [of_image.filter(each).sum() for each in (bleeds, ~bleeds & affected, ~affected)]
    assert shown == pytest.approx(kinds, abs=0.051)
    shown = [number(row[-1]) for row in page.tables["By height in the stack, in fifths"][1:]]
    assert shown == pytest.approx(
        [of_image.filter(height == each).sum() for each in range(5)], abs=0.051
    )
    cells = page.tables["Share of the score in %, and mean loss, by height in the stack, in fifths"]
    for place, row in enumerate(cells[1:7]):
        wanted = [cost[(height == each).to_numpy(), place].sum() for each in range(5)]
        assert [number(text) for text in row[1:6]] == pytest.approx(wanted, abs=0.051)
    studies = oof.select("study_id", cost=of_image).group_by("study_id").agg(pl.col("cost").sum())
    worst = studies.sort("cost", descending=True)
    rows = page.tables[f"The {STUDIES} studies that cost most"][1:]
    assert [row[0] for row in rows] == worst["study_id"].to_list()
    assert [number(row[-1]) for row in rows] == pytest.approx(worst["cost"].to_list(), abs=0.051)


def test_folds_have_their_patients_and_positives(page: ReadPage, oof: pl.DataFrame) -> None:
    _, *rows = page.tables["Folds, and slices with each label"]
    for fold, row in enumerate(rows):
        own = oof.filter(fold=fold)
        counts = [own["patient"].n_unique(), own["study_id"].n_unique(), own.height]
        counts += [own[f"label_{name}"].sum() for name in LABELS]
        assert [number(text) for text in row[1:]] == counts


def test_the_slice_models_own_score_is_beside_the_sequence_models(
    page: ReadPage, home: Home, oof: pl.DataFrame
) -> None:
    caption = "Score of the slice model alone, and with the sequence model"
    _, *rows, every = page.tables[caption]
    kept = oof.filter(pl.col("image_id") != UNREADABLE)
    labels = kept.select("image_id", *(f"label_{name}" for name in LABELS))
    folds = [pl.read_parquet(home.fold("ich-demo", fold) / "oof.parquet") for fold in range(FOLDS)]
    alone = [labels.join(fold, on="image_id") for fold in folds]
    for fold, row in enumerate(rows):
        expected = [parts(alone[fold])["Score"], parts(kept.filter(fold=fold))["Score"]]
        assert list(map(float, row[2:4])) == pytest.approx(expected, abs=5.1e-5)
    assert number(every[1]) == kept.height
    expected = [parts(pl.concat(alone))["Score"], parts(kept)["Score"]]
    assert list(map(float, every[2:4])) == pytest.approx(expected, abs=5.1e-5)


def test_every_label_of_every_slice_is_a_case(page: ReadPage, oof: pl.DataFrame) -> None:
    cases = page.cases
    assert len(cases["labels"]) == oof.height * 6
    assert cases["areAll"]
    assert cases["apart"] == 2
    shares = np.array(cases["runs"][0]["shares"]) / cases["shares"]
    assert shares.sum() == pytest.approx(100, abs=0.01)
    keys = {
        (cases["groups"][group], cases["facets"][0]["ids"][slice_], cases["facets"][1]["ids"][kind])
        for group, slice_, kind in zip(cases["group"], *cases["values"][:2], strict=True)
    }
    assert len(keys) == oof.height * 6
    linked = {link.removeprefix("#case=") for link in page.links if link.startswith("#case=")}
    assert linked
    assert linked <= {"_".join(key) for key in keys}


def test_a_page_of_many_cases_has_the_costliest_and_says_so(
    home: Home, monkeypatch: pytest.MonkeyPatch, oof: pl.DataFrame
) -> None:
    for module in ("figures.chosen", "page.build"):
        monkeypatch.setattr(f"lsdc.challenges.hemorrhage.report.{module}.MOST_CASES", 50)
    found = read_page(build_report([read_run(home, "ich-demo")]))
    shares = np.array(found.cases["runs"][0]["shares"]) / found.cases["shares"]
    wanted = np.sort(costs(oof), axis=None)[::-1][:50]
    assert np.sort(shares)[::-1] == pytest.approx(wanted, abs=1e-4)
    assert not found.cases["areAll"]
    assert f"Of {oof.height * 6:,} cases, the 50 that cost most in ich-demo." in found.words


def test_marks_of_the_score_are_said(tmp_path: Path) -> None:
    leaky = deal(make_images(), by="image")
    home = write_run(tmp_path, folds=leaky, only=[0, 1], selected=True, sequence=False)
    found = read_page(build_report([read_run(home, "ich-demo")])).words
    assert "ich-demo is partial: only the images of fold 0, 1 are scored." in found
    assert "chose its epochs on the scored folds, so its score is too good" in found
    assert "ich-demo is leaky: its folds hold out single images" in found
    assert f"{STUDIES - 1} patients of ich-demo are in more than one fold" in found
    assert "predicted by no model: 1 image of the out-of-fold table by neighbours" in found


def test_a_run_that_is_worse_than_the_prior_says_so(tmp_path: Path) -> None:
    home = write_run(tmp_path)
    oof = home.run("ich-demo") / "oof.parquet"
    rows = pl.read_parquet(oof)
    rows.with_columns((1 - pl.col(name)).alias(name) for name in LABELS).write_parquet(oof)
    found = read_page(build_report([read_run(home, "ich-demo")]))
    assert "ich-demo is worse than the prior" in found.words
    assert "**ich-demo is worse than the prior" in build_card(read_run(home, "ich-demo"))


def test_chosen_cases_are_of_all_labels_and_of_many_studies(home: Home) -> None:
    scored = read_run(home, "ich-demo").scored
    cases = spread_cases(scored, 12)
    assert sorted(cases.labels) == sorted(2 * [*range(6)])
    assert len(set(cases.images)) == 12
    first = scored.costs.argmax(axis=0)
    assert cases.images[0] == first[0]  # the costliest of the first label
    # A study whose slices all cost most does not fill the list.
    rows = scored.rows.with_columns(
        subdural=pl.when(pl.col("study_id") == study_of(3)).then(0.9).otherwise(0.7),
        label_subdural=pl.lit(0, pl.Int8),
    )
    chosen = spread_cases(Scored("one", rows), 36).of_label(4)
    assert rows["study_id"].gather(chosen.images).n_unique() > 3


def test_a_good_run_has_no_marks_but_for_the_image_without_prediction(page: ReadPage) -> None:
    for word in ("partial", "leaky", "too good", "in more than one fold", "worse than"):
        assert word not in page.words
    assert page.words.count("predicted by no model") == 1


def test_a_run_without_test_set_records_and_sequence_has_a_page(tmp_path: Path) -> None:
    home = write_run(tmp_path, test=False, sequence=False)
    for path in [home.run("ich-demo") / "rests-on.json", home.run("ich-demo") / "run.json"]:
        path.unlink()
    for fold in range(FOLDS):
        (home.fold("ich-demo", fold) / "fit.json").unlink()
    shutil.rmtree(home.root / "costs")
    found = read_page(build_report([read_run(home, "ich-demo")]))
    assert "By height in the stack, in fifths" not in found.tables  # no index, so no slices
    assert found.cases["groupName"] == "Image"
    assert found.cases["apart"] == 1
    assert len(found.tables["Log loss by fold, lower is better"]) == 9
    assert "Time and memory of the stages: not recorded" in found.words


def test_held_out_patients_have_columns_of_their_own(tmp_path: Path) -> None:
    home = write_run(tmp_path, held_out=study_of(4))
    found = read_page(build_report([read_run(home, "ich-demo")]))
    head, *rows, _ = found.tables["Log loss by fold, lower is better"]
    place = head.index("Held out")
    apart = pl.read_parquet(home.run("ich-demo") / "holdout.parquet")
    assert apart.height == SLICES
    for row in rows:
        assert float(row[place]) == pytest.approx(parts(apart)[row[0]], abs=5.1e-5)
    assert "1 study; prior" in found.words
    assert study_of(4) not in found.cases["groups"]


def test_two_runs_have_paired_differences_and_the_settings_that_differ(home: Home) -> None:
    names = ["ich-demo", "ich-demo@seed-1"]
    found = read_page(build_report([read_run(home, name) for name in names]))
    first, other = (parts(pl.read_parquet(home.run(name) / "oof.parquet")) for name in names)
    _, *rows = found.tables["ich-demo@seed-1 minus ich-demo, paired by patient"]
    for name, difference, interval, part in rows:
        value = other[name] - first[name]
        assert number(difference) == pytest.approx(value, abs=5.1e-5)
        low, high = map(number, interval.split(" to "))
        assert low < value < high
        weight = dict(zip(map(str.capitalize, LABELS), WEIGHTS, strict=True)).get(name, 1)
        assert number(part) == pytest.approx(weight * value, abs=5.1e-5)
    assert ["seed", "not set", "1"] not in found.tables["Settings that differ"]
    assert ["seed", "0", "1"] in found.tables["Settings that differ"]


def test_reported_figures_are_beside_the_same_kind_of_figure(tmp_path: Path) -> None:
    home = write_run(tmp_path, experiment="ich-exp50", sequence=False)  # weighs positives of any
    found = read_page(build_report([read_run(home, "ich-demo")]))
    rows = {row[0]: row[1:] for row in found.tables["Reported by the notes, and measured here"]}
    own = pl.read_parquet(home.run("ich-demo") / "oof.parquet").filter(fold=0)
    labels = own.select(f"label_{name}" for name in LABELS).to_numpy()
    given = own.select(LABELS).to_numpy()
    loss = -np.log(np.where(labels == 1, given, 1 - given))
    loss[:, 5] *= np.where(labels[:, 5] == 1, 2, 1)
    assert rows["Validation loss, fold 0"] == ["0.0610", f"{loss.mean():.4f}"]
    right = ((given >= 0.5) == (labels == 1)).mean()
    assert rows["Accuracy, fold 0"] == ["0.9799", f"{right:.4f}"]
    assert rows["Training loss, fold 0"] == ["0.0547", "0.2000"]
    assert rows["Leaderboard with TTA"][0] == "0.071"


def test_an_expected_score_is_called_an_estimate(tmp_path: Path) -> None:
    home = write_run(tmp_path, experiment="ich-strong")
    found = read_page(build_report([read_run(home, "ich-demo")]))
    caption = "Expected on the competition's data, and measured here"
    score = json.loads((home.run("ich-demo") / "scores.json").read_text())["score"]
    assert found.tables[caption][1] == ["Score", "0.055 to 0.062", f"{score:.4f}"]
    assert "0.055 to 0.062 all folds on the competition's data, an estimate" in found.words


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Write a competition's table of labels."""
    labels = make_labels(make_images())
    long = labels.unpivot(on=LABELS, index="image_id").select(
        ID=pl.col("image_id") + "_" + pl.col("variable"), Label="value"
    )
    long.write_csv(tmp_path / "stage_2_train.csv")
    return tmp_path


def test_files_of_predictions_have_a_page_without_intervals(data: Path, tmp_path: Path) -> None:
    labels = make_labels(make_images())
    paths = [tmp_path / "one.csv", tmp_path / "two.csv"]
    for seed, path in enumerate(paths):
        predict(labels, seed).write_csv(path)
    sources = HEMORRHAGE.read_prediction_files(paths, data)
    HEMORRHAGE.write_report(sources, tmp_path / "report.html", images=5, say=print)
    found = read_page((tmp_path / "report.html").read_text())
    table = found.tables["Log loss on the images that all runs score, lower is better"]
    joined = labels.rename({name: f"label_{name}" for name in LABELS}).join(
        pl.read_csv(paths[1]), on="image_id"
    )
    assert float(table[-1][2]) == pytest.approx(parts(joined)["Score"], abs=5.1e-5)
    assert "The patients of the images are not known here" in found.words
    assert found.cases["groupName"] == "Image"


def test_an_out_of_fold_file_brings_its_patients_along(
    data: Path, home: Home, page: ReadPage
) -> None:
    path = home.run("ich-demo") / "oof.parquet"
    found = read_page(build_report(HEMORRHAGE.read_prediction_files([path], data)))  # type: ignore[arg-type]
    caption = "Log loss by fold, lower is better"
    assert found.tables[caption][7] == page.tables[caption][7]
    assert "not known here" not in found.words


def test_files_without_a_labelled_image_or_with_strangers_are_refused(
    data: Path, tmp_path: Path
) -> None:
    rows = predict(make_labels(make_images()), 0)
    rows.head(-1).write_csv(tmp_path / "short.csv")
    stranger = rows.head(1).with_columns(image_id=pl.lit("ID_fffffffff"))
    pl.concat([rows, stranger]).write_csv(tmp_path / "long.csv")
    with pytest.raises(DataError, match=r"short: 1 image .* missing of 132 labelled images"):
        HEMORRHAGE.read_prediction_files([tmp_path / "short.csv"], data)
    with pytest.raises(DataError, match=r"long: .*ID_fffffffff.*not among the labelled ones"):
        HEMORRHAGE.read_prediction_files([tmp_path / "long.csv"], data)


def test_runs_on_other_images_or_labels_are_refused_by_name(home: Home, tmp_path: Path) -> None:
    other = write_run(tmp_path, "ich-other")
    oof = other.run("ich-other") / "oof.parquet"
    rows = pl.read_parquet(oof)
    rows.with_columns(label_subdural=1 - pl.col("label_subdural")).write_parquet(oof)
    sources = [read_run(home, "ich-demo"), read_run(other, "ich-other")]
    with pytest.raises(DataError, match=r"ich-demo and ich-other: 132 images have different"):
        build_report(sources)
    rows.with_columns(pl.col("image_id") + "0").write_parquet(oof)
    sources = [read_run(home, "ich-demo"), read_run(other, "ich-other")]
    with pytest.raises(DataError, match=r"ich-demo and ich-other: no image in common"):
        build_report(sources)


def test_images_that_only_one_run_scores_are_left_out_and_counted(
    home: Home, tmp_path: Path
) -> None:
    part = write_run(tmp_path, "ich-part", only=[0])
    found = read_page(build_report([read_run(home, "ich-demo"), read_run(part, "ich-part")]))
    own = pl.read_parquet(part.run("ich-part") / "oof.parquet").height
    assert f"ich-demo scores {STUDIES * SLICES - own} images that not all runs score" in found.words


def test_nothing_is_loaded_and_unusable_files_are_listed(page: ReadPage) -> None:
    assert [each for each in page.loaded if not each.startswith("data:")] == []
    assert page.tables["List 1 file"][1][0] == "ID_aaaaaaaaa.dcm"
    assert "someone" not in page.words
    assert ["index", "1 min 15 s", "321 MB", "2026-11-30 08:20"] in page.tables[
        "Time and memory of the stages"
    ]
    assert study_of(0) in page.words
