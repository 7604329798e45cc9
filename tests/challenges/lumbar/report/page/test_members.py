"""The section about the members of an ensemble: its scores and differences, recomputed."""

from pathlib import Path

import polars as pl
import pytest

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.ensemble.fitted import FOLDER, MEMBERS
from lsdc.challenges.lumbar.report.card import build_card
from lsdc.challenges.lumbar.report.figures.sources import read_run
from lsdc.challenges.lumbar.report.page.build import build_report
from lsdc.store.home import Home
from lsdc.store.runs import EXPERIMENT_FILE
from tests.challenges.lumbar.report.made_run import write_run
from tests.report.reading import number, read_page


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Write the runs a and b, and both, the mean of b and of a without its canal grades."""
    root = tmp_path_factory.mktemp("home")
    write_run(root, "a", seed=1)
    write_run(root, "b", seed=50)
    home = write_run(root, "both", seed=99)
    first, second = (pl.read_parquet(home.run(name) / "oof.parquet") for name in ("a", "b"))
    some = first.filter(pl.col("condition") != "spinal_canal_stenosis")
    named = [rows.with_columns(member=pl.lit(name)) for name, rows in (("a", some), ("b", second))]
    folder = home.run("both") / FOLDER
    folder.mkdir()
    members = pl.concat(named).select("member", "row_id", *PROBABILITIES)
    members.write_parquet(folder / MEMBERS)
    mean = members.group_by("row_id").agg(pl.col(PROBABILITIES).mean())
    oof = second.drop(PROBABILITIES).join(mean, on="row_id", maintain_order="left")
    oof.select(second.columns).write_parquet(home.run("both") / "oof.parquet")
    experiment = Experiment(name="both", members=("a", "b"))
    (home.run("both") / EXPERIMENT_FILE).write_text(experiment.model_dump_json())
    return home


def score(home: Home, name: str) -> float:
    return read_run(home, name).scored.score.score


def test_members_and_what_they_add_are_those_of_their_tables(home: Home) -> None:
    page = read_page(build_report([read_run(home, "both")]))
    head, a, b, mean, both = page.tables["Members"]
    assert head == ["", "Labelled rows", "Score", "95 % interval", "Adds", "95 % interval"]
    assert [row[0] for row in (a, b, mean, both)] == ["a", "b", "Mean of all", "both"]
    labelled = read_run(home, "b").scored.rows
    canal = labelled.filter(condition="spinal_canal_stenosis").height
    assert number(a[1]) == labelled.height - canal
    assert [number(row[1]) for row in (b, mean, both)] == [labelled.height] * 3
    assert number(b[2]) == pytest.approx(score(home, "b"), abs=5.1e-5)
    assert number(both[2]) == number(mean[2]) == pytest.approx(score(home, "both"), abs=5.1e-5)
    gain = score(home, "b") - score(home, "both")  # without a, b is left
    assert number(a[4]) == pytest.approx(gain, abs=5.1e-5)
    assert both[4] == "–"


def test_an_ensemble_names_where_curves_and_images_are(home: Home) -> None:
    page = read_page(build_report([read_run(home, "both")]))
    assert "the reports of its members, a, b, have curves" in page.words
    assert "the reports of its members, a, b, show images of cases" in page.words
    card = build_card(read_run(home, "both"))
    assert "| Members | a, b, each with a card of its own |" in card
    assert "from an ensemble that was fitted on them" in card
    assert "Corrections of annotated points" not in card
    plain = read_page(build_report([read_run(home, "a")]))
    assert "Members" not in plain.tables


def test_an_ensemble_beside_a_run_has_its_members(home: Home) -> None:
    page = read_page(build_report([read_run(home, name) for name in ("a", "both")]))
    assert "Members: both" in page.tables
    assert "Members: a" not in page.tables


def test_nothing_but_the_runs_own_files_is_read(home: Home, tmp_path: Path) -> None:
    moved = [home.run(name).rename(tmp_path / name) for name in ("a", "b")]
    try:
        assert "Members" in read_page(build_report([read_run(home, "both")])).tables
    finally:
        for each in moved:
            each.rename(home.run(each.name))
