"""Whole runs of the ink challenge: the same commands, flows and pools as for any other."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from lsdc.challenges.ink.catalog_tables import CATALOG
from lsdc.challenges.ink.competition.run_length import decode
from lsdc.challenges.ink.phantom.order import Order
from lsdc.challenges.ink.phantom.writer import write_phantom
from lsdc.store.files import digest_file
from tests.flows.conftest import lsdc
from tests.flows.tiny_runs import (
    RESULTS,
    finished_home,
    own_experiments,
    run_on_pools,
    run_tiny,
)

TINY = """
[tiny]
based_on = "ink-demo"
[tiny.split]
bands = [1, 2]
[tiny.tiles]
size_px = 32
first_layer = 26
groups = 8
[tiny.sampling]
tiles_an_epoch = 24
[tiny.training]
epochs = 1
batch_size = 8
"""
MAPS = ("maps-0", "maps-1", "maps-test")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small phantom."""
    out = tmp_path_factory.mktemp("papyrus") / "data"
    write_phantom(out, Order(fragments=2, test=1, seed=3, rows=192, columns=96))
    return out


@pytest.fixture(scope="module")
def presets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Set the user's experiments: a tiny one."""
    with own_experiments(tmp_path_factory.mktemp("presets"), TINY):
        yield


@pytest.fixture(scope="module")
def home(data: Path, presets: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the home of a run."""
    return finished_home(data, tmp_path_factory.mktemp("home") / "home")


def digests(run: Path) -> dict[str, str]:
    maps = [
        path.relative_to(run).as_posix() for name in MAPS for path in (run / name).glob("*.npy")
    ]
    return {name: digest_file(run / name) for name in (*RESULTS, *maps)}


def test_every_region_is_predicted_by_the_fold_that_holds_it_out(data: Path, home: Path) -> None:
    run = home / "runs/tiny"
    oof = pl.read_parquet(run / "oof.parquet")
    assert sorted(oof["region"]) == ["1", "2-0", "2-1"]
    for row in oof.iter_rows(named=True):
        assert (run / f"maps-{row['fold']}" / f"{row['region']}.npy").is_file()
    scores = json.loads((run / "scores.json").read_text())
    assert {"score", "1", "2"} < set(scores)
    assert (scores["leaky"], scores["partial"], set(scores["folds"])) == (False, False, {"0", "1"})


def test_the_submission_has_a_mask_for_every_row_of_the_sample(data: Path, home: Path) -> None:
    written = pl.read_csv(home / "runs/tiny/submission.csv", schema_overrides=[pl.String] * 2)
    sample = pl.read_csv(data / "sample_submission.csv")
    assert written["Id"].to_list() == sample["Id"].to_list()
    found = np.load(home / "runs/tiny/maps-test/a.npy")
    mask = decode(written["Predicted"][0], found.shape)
    assert not mask[found == 0].any()


def test_the_catalog_shows_the_tables(home: Path) -> None:
    with duckdb.connect(str(home / "catalog.duckdb"), read_only=True) as catalog:
        there = {row[0] for row in catalog.execute("SHOW TABLES").fetchall()}
        layers = catalog.execute("SELECT count(*) FROM layers").fetchone()
    assert {*CATALOG} <= there
    assert layers == (3 * 65,)


def test_nothing_is_computed_again(data: Path, home: Path) -> None:
    before = digests(home / "runs/tiny")
    done = run_tiny(data, home)
    assert "nothing was computed" in done.out, done.out + done.err
    assert digests(home / "runs/tiny") == before


def test_a_run_is_reported_and_inspected(home: Path, tmp_path: Path) -> None:
    done = lsdc("report", "tiny", "--home", home, "--out", tmp_path)
    assert done.code == 0, done.out + done.err
    assert "Ways to make masks" in (tmp_path / "tiny-report.html").read_text()
    done = lsdc("inspect", "2-0", "--home", home, "--experiment", "tiny", "--out", tmp_path / "a")
    assert done.code == 0, done.out + done.err
    assert "const layers" in (tmp_path / "a").read_text()


@pytest.mark.slow_runs
def test_only_masks_are_made_anew_if_their_settings_change(data: Path, home: Path) -> None:
    done = run_tiny(data, home, "--set", "mask.min_region_px=50")
    assert done.code == 0, done.out + done.err
    assert {"oof", "submission"} <= done.ran
    assert not {"folds", "volumes train", "fold 0", "maps 0", "predict"} & done.ran


@pytest.mark.slow_runs
def test_no_fold_is_trained_anew_if_maps_are_predicted_otherwise(data: Path, home: Path) -> None:
    done = run_tiny(data, home, "--set", "inference.edge_px=4")
    assert done.code == 0, done.out + done.err
    assert {"maps 0", "maps 1", "predict", "oof"} <= done.ran
    assert not {"fold 0", "fold 1", "volumes train"} & done.ran


def test_data_of_another_challenge_are_refused(data: Path, home: Path) -> None:
    done = lsdc("run-local", "--experiment", "demo", "--data", data, "--home", home)
    assert done.code == 2
    assert "an experiment of RSNA 2024" in done.err.replace("\n", " ")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--holdout", "0.2"), "no studies to leave out"),
        (("--limit", "1"), "no studies to leave out"),
        (("--folds", "4"), "expected at most 3"),
    ],
)
def test_options_that_do_not_fit_fragments_are_refused(
    data: Path, home: Path, option: tuple[str, str], said: str
) -> None:
    done = run_tiny(data, home, *option)
    assert done.code == 2
    assert said in done.err.replace("\n", " ")


@pytest.mark.slow_prefect
def test_pools_train_folds_of_this_challenge_to_the_same_bits(
    data: Path, home: Path, tmp_path: Path
) -> None:
    other = tmp_path / "home"
    names = run_on_pools(data, other)
    assert {"train-fold-0-tiny", "train-fold-1-tiny"} <= names
    assert digests(other / "runs/tiny") == digests(home / "runs/tiny")
    shutil.rmtree(other)
