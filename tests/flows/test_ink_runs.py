"""Whole runs of the ink challenge: the same commands, flows and pools as for any other."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import psutil
import pytest

from lsdc.challenges.ink.catalog_tables import CATALOG
from lsdc.challenges.ink.competition.run_length import decode
from lsdc.challenges.ink.pack.write import write_bundle
from lsdc.challenges.ink.phantom.order import Order
from lsdc.challenges.ink.phantom.writer import write_phantom
from lsdc.pack.libraries import kaggle_image
from lsdc.store.files import digest_file
from lsdc.store.home import Home
from tests.flows.bundles import (
    LIBRARIES,
    LIBRARIES_OF_LAYERS,
    Jail,
    linked_python,
    require_namespaces,
)
from tests.flows.conftest import lsdc
from tests.flows.tiny_runs import (
    RESULTS,
    finished_home,
    own_experiments,
    run_on_pools,
    run_tiny,
)

# Nobody answers there: predictions need no server.
NO_SERVER = "http://127.0.0.1:9/api"
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


def test_a_prediction_of_the_test_fragments_equals_the_submission_to_the_bit(
    data: Path, home: Path, tmp_path: Path
) -> None:
    shutil.copytree(data / "test", tmp_path / "in" / "test")
    shutil.copy(data / "sample_submission.csv", tmp_path / "in")
    given = (tmp_path / "in", "--run", "tiny", "--home", home, "--out", tmp_path / "out")
    done = lsdc("predict", *given, "--threads", "1", "--json", api=NO_SERVER)
    assert done.code == 0, done.out + done.err
    run, out = home / "runs/tiny", tmp_path / "out"
    assert (out / "submission.csv").read_bytes() == (run / "submission.csv").read_bytes()
    assert digest_file(out / "maps/a.npy") == digest_file(run / "maps-test/a.npy")
    summary = json.loads(done.out)
    assert (summary["fragments"], summary["folds"], summary["by_prior"]) == (1, [0, 1], [])
    assert (out / "pictures/a.png").is_file()
    shown = lsdc("predict", *given, "--threads", "1", "--no-pictures")
    assert shown.code == 0, shown.out + shown.err
    assert "tiny, 2 folds: 1 fragment in " in shown.out
    assert "Masks by quantile" in shown.out
    assert "1 of 1 fragment predicted after" in shown.err
    assert max(map(len, shown.out.partition("/")[0].splitlines())) <= 80


@pytest.mark.slow_runs
def test_a_prediction_killed_amid_a_map_goes_on_with_the_same_results(
    home: Path, tmp_path: Path
) -> None:
    new, out, whole = tmp_path / "new", tmp_path / "out", tmp_path / "whole"
    write_phantom(new, Order(fragments=1, test=2, seed=9, rows=256, columns=160))
    given = ("predict", new, "--run", "tiny", "--home", home, "--threads", "1", "--out")
    command = [sys.executable, "-P", "-m", "lsdc", *map(str, (*given, out))]
    with subprocess.Popen(command) as process:
        while not list(out.glob(".unfinished/working-*/tiny/map.making.npy")):
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert not (out / "predictions.csv").exists()
    kept = [path.stat().st_mtime_ns for path in out.glob(".unfinished/working-*/volume/volume.npy")]
    assert len(kept) == 1
    for each in (out, whole):
        done = lsdc(*given, each)
        assert done.code == 0, done.out + done.err
    names = sorted(path.relative_to(whole) for path in whole.rglob("*.*"))
    assert names == sorted(path.relative_to(out) for path in out.rglob("*.*"))
    for name in names:
        if name.name != "predict.log":
            assert (out / name).read_bytes() == (whole / name).read_bytes(), name
    rows = pl.read_csv(out / "submission.csv", infer_schema=False)
    assert rows["Id"].to_list() == ["a", "b"]


@pytest.fixture(scope="module")
def bundle(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pack the run."""
    out = tmp_path_factory.mktemp("pack") / "bundle"
    write_bundle(Home(home), ["tiny"], out, image=kaggle_image())
    return out


@pytest.mark.slow_runs
def test_a_bundle_writes_the_submission_of_the_run_without_a_network(
    data: Path, home: Path, bundle: Path, tmp_path: Path
) -> None:
    require_namespaces()
    libraries = {*LIBRARIES, *LIBRARIES_OF_LAYERS} - {"dicomsdl", "pydicom"}
    jail = Jail(tmp_path, linked_python(tmp_path / "python", libraries))
    done = jail.run(bundle, [data, "--out", "submission.csv", "--threads", "1"])
    assert done.returncode == 0, done.stdout + done.stderr
    made, run = tmp_path / "out" / "submission.csv", home / "runs/tiny/submission.csv"
    assert made.read_bytes() == run.read_bytes()


@pytest.mark.slow_runs
def test_a_killed_worker_leaves_empty_masks(data: Path, bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "submission.csv"
    command = [sys.executable, bundle / "predict.py", data, "--out", out]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as running:
        workers: list[psutil.Process] = []
        while not workers:
            assert running.poll() is None
            found = psutil.Process(running.pid).children()
            workers = [each for each in found if "lsdc.child" in each.cmdline()]
        workers[0].kill()
        _, said = running.communicate()
    assert running.returncode == 2, said
    assert "complete, but all of it is the prior" in said
    assert out.read_text() == "Id,Predicted\na,\n"


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
