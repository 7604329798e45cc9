"""The model card: its figures are those of the run's tables."""

import json
from pathlib import Path

import polars as pl
import pytest

from lsdc.challenges.hemorrhage.report.card import build_card
from lsdc.challenges.hemorrhage.report.figures.sources import read_run
from lsdc.store.home import Home
from tests.challenges.hemorrhage.report.made_run import deal, make_images, write_run


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return write_run(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def card(home: Home) -> str:
    return build_card(read_run(home, "ich-demo"))


def rows(card: str) -> dict[str, list[str]]:
    """Return the cells of all tables' rows, by the first one."""
    lines = [line for line in card.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first: others for first, *others in cells}


def test_scores_and_counts_are_those_of_the_tables(card: str, home: Home) -> None:
    scores = json.loads((home.run("ich-demo") / "scores.json").read_text())
    oof = pl.read_parquet(home.run("ich-demo") / "oof.parquet")
    found = rows(card)
    for name in ("Score", "Epidural", "Any"):
        assert found[name][0] == f"{scores[name.lower()]:.4f}"
        assert found[name][2] == f"{scores['weighted_prior'][name.lower()]:.4f}"
    assert found["Patients"] == [str(oof["patient"].n_unique())]
    assert found["Slices with subdural"] == [str(oof["label_subdural"].sum())]
    fold = oof.filter(fold=1)
    assert found["1"][:2] == [str(fold["patient"].n_unique()), str(fold.height)]
    assert found["1"][2] == f"{scores['folds']['1']['score']:.4f}"
    assert found["Fold 0, model.safetensors"] == [f"`{'b' * 64}`"]


def test_a_phantoms_card_says_that_its_models_have_seen_no_patient(card: str) -> None:
    assert "have never seen a real image" in card
    assert "not a medical device" in card
    assert "leaky" not in card


def test_a_run_on_a_written_phantom_is_one_of_a_phantom_too(tmp_path: Path) -> None:
    home = write_run(tmp_path / "home")
    record = home.run("ich-demo") / "run.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"data": f"{tmp_path}/data"}))
    assert "have never seen a real image" not in build_card(read_run(home, "ich-demo"))
    (tmp_path / "data/answers").mkdir(parents=True)
    (tmp_path / "data/answers/bleeds.csv").touch()
    assert "have never seen a real image" in build_card(read_run(home, "ich-demo"))


def test_a_card_says_what_is_wrong_with_the_score(tmp_path: Path) -> None:
    home = write_run(tmp_path, folds=deal(make_images(), by="image"), selected=True)
    card = build_card(read_run(home, "ich-demo"))
    assert "**ich-demo is leaky" in card
    assert "**ich-demo chose its epochs" in card
    assert "Each single image belongs to one fold" in card
