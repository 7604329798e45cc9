"""The model card of a run."""

import re
from pathlib import Path

import polars as pl

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.report.card import build_card
from lsdc.challenges.lumbar.report.figures.sources import read_run
from lsdc.challenges.lumbar.scoring.metric import score
from lsdc.store.runs import RECORD, RunRecord
from tests.challenges.lumbar.report.made_run import STUDIES, make_labels, write_run


def rows_of(card: str, heading: str) -> list[list[str]]:
    """Return the cells of all table rows below a heading."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", card, re.S | re.M)
    return [line.strip("| ").split(" | ") for line in section.splitlines() if "|" in line]


def test_scores_of_folds_and_groups_are_those_of_their_studies(tmp_path: Path) -> None:
    home = write_run(tmp_path)
    oof = pl.read_parquet(home.run("demo") / "oof.parquet")
    card = build_card(read_run(home, "demo"))

    def expected(studies: pl.Expr) -> str:
        labels = make_labels().filter(studies)
        return f"{score(labels, oof.filter(studies).select('row_id', *PROBABILITIES)).score:.4f}"

    study = pl.col("study_id")
    folds = {row[0]: row[3] for row in rows_of(card, "Folds")}
    for fold in range(3):
        members = oof.filter(fold=fold)["study_id"].implode()
        assert folds[str(fold)] == expected(study.is_in(members))
    assert rows_of(card, "Scores")[2][1] == expected(study > 0)
    groups = {row[1]: row[2:] for row in rows_of(card, "Scores by group of studies")}
    assert groups["4.5 mm and above"][:2] == ["6", expected(study % 2 == 1)]
    assert groups["below 4.5 mm"][:2] == ["6", expected(study % 2 == 0)]
    assert groups["all three kinds"][:2] == ["11", expected(study != STUDIES[0])]
    assert groups["one or two kinds missing"][2] == "fewer than 5 studies"
    assert groups["possibly six lumbar vertebrae"][1] == expected(study <= STUDIES[5])


def test_card_of_a_phantom_says_that_its_models_have_seen_no_patient(tmp_path: Path) -> None:
    card = build_card(read_run(write_run(tmp_path), "demo"))
    assert "have never seen a real image" in card
    assert "/home/someone" not in card  # no path of a user's file


def test_a_run_on_a_written_phantom_is_one_of_a_phantom_too(tmp_path: Path) -> None:
    home, data = write_run(tmp_path / "home"), tmp_path / "data"
    path = home.run("demo") / RECORD
    record = RunRecord.model_validate_json(path.read_bytes())
    path.write_text(record.model_copy(update={"data": str(data)}).model_dump_json())
    assert "have never seen a real image" not in build_card(read_run(home, "demo"))
    (data / "answers").mkdir(parents=True)
    (data / "answers" / "grades.csv").write_text("")
    assert "have never seen a real image" in build_card(read_run(home, "demo"))


def test_card_counts_labels_and_images(tmp_path: Path) -> None:
    card = build_card(read_run(write_run(tmp_path), "demo"))
    facts = {row[0]: row[-1] for row in rows_of(card, "Training data")}
    graded = make_labels().drop_nulls("grade")
    assert facts["Studies with labels"] == str(len(STUDIES))
    assert facts["Images"] == str(15 * (3 * len(STUDIES) - 1))
    assert facts["Labelled rows"] == str(len(graded))
    severe = graded.filter(condition="spinal_canal_stenosis", grade=2).height
    assert facts["Spinal canal"] == str(severe)
