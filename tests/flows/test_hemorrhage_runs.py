"""Whole runs of the haemorrhage challenge: the same commands, flows and pools as for any other."""

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import psutil
import pytest
from PIL import Image

from lsdc.challenges.hemorrhage.catalog_tables import CATALOG
from lsdc.challenges.hemorrhage.competition.tables import read_labels
from lsdc.challenges.hemorrhage.pack.write import write_bundle
from lsdc.challenges.hemorrhage.phantom.study import Order
from lsdc.challenges.hemorrhage.phantom.writer import write_phantom
from lsdc.challenges.hemorrhage.scoring.metric import score
from lsdc.challenges.hemorrhage.vocabulary import LABELS
from lsdc.pack.libraries import kaggle_image
from lsdc.store.files import digest_file
from lsdc.store.home import Home
from tests.flows.bundles import LIBRARIES, Jail, linked_python, require_namespaces
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
based_on = "ich-demo"
[tiny.slices]
size_px = 32
[tiny.training]
epochs = 1
[tiny.sequence]
epochs = 1
"""
# Nobody answers there: predictions need no server.
NO_SERVER = "http://127.0.0.1:9/api"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small phantom."""
    out = tmp_path_factory.mktemp("head") / "data"
    write_phantom(out, Order(10, 2, seed=3, size=48, fewest_slices=8, most_slices=10))
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
    return {name: digest_file(run / name) for name in RESULTS}


def test_every_labelled_image_is_predicted_once_and_scored(data: Path, home: Path) -> None:
    run, labels = home / "runs/tiny", read_labels(data)
    oof = pl.read_parquet(run / "oof.parquet")
    files = {path.stem for path in (data / "stage_2_train_images").iterdir()}
    assert {*oof["image_id"]} <= {*labels["image_id"]}
    # The file with too few pixels has labels, and is in no fold.
    assert len(oof) == oof["image_id"].n_unique() == len(labels) - 1
    assert {*labels["image_id"]} <= files
    assert oof.group_by("patient").agg(pl.col("fold").n_unique())["fold"].max() == 1
    scores = json.loads((run / "scores.json").read_text())
    own = labels.join(oof, on="image_id", how="semi")
    expected = score(own, oof.select("image_id", *map(str, LABELS)), "oof").as_dict()
    assert {name: scores[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert (scores["leaky"], scores["partial"], set(scores["folds"])) == (False, False, {"0", "1"})


def test_the_submission_has_every_row_in_the_order_of_the_sample(data: Path, home: Path) -> None:
    written = pl.read_csv(home / "runs/tiny/submission.csv")
    sample = pl.read_csv(data / "stage_2_sample_submission.csv")
    assert written["ID"].to_list() == sample["ID"].to_list()
    assert written["Label"].is_between(0, 1, closed="none").all()


def test_the_catalog_shows_the_tables_and_no_patient_as_it_stands(data: Path, home: Path) -> None:
    with duckdb.connect(str(home / "catalog.duckdb"), read_only=True) as catalog:
        there = {row[0] for row in catalog.execute("SHOW TABLES").fetchall()}
        assert {*CATALOG} <= there
        found = catalog.execute("SELECT DISTINCT patient FROM images").fetchall()
    assert all(len(each) == 16 and not each.startswith("ID_") for (each,) in found)


def test_nothing_is_computed_again(data: Path, home: Path) -> None:
    before = digests(home / "runs/tiny")
    done = run_tiny(data, home)
    assert "nothing was computed" in done.out, done.out + done.err
    assert digests(home / "runs/tiny") == before


def test_a_prediction_of_the_test_images_equals_the_submission_to_the_bit(
    data: Path, home: Path, tmp_path: Path
) -> None:
    shutil.copytree(data / "stage_2_test_images", tmp_path / "in" / "stage_2_test_images")
    shutil.copy(data / "stage_2_sample_submission.csv", tmp_path / "in")
    given = (tmp_path / "in", "--run", "tiny", "--home", home, "--out", tmp_path / "out")
    done = lsdc("predict", *given, "--threads", "1", "--json", api=NO_SERVER)
    assert done.code == 0, done.out + done.err
    written = tmp_path / "out" / "submission.csv"
    assert written.read_bytes() == (home / "runs/tiny/submission.csv").read_bytes()
    summary = json.loads(done.out)
    assert (summary["studies"], summary["folds"], summary["by_prior"]) == (2, [0, 1], [])
    assert len(list((tmp_path / "out" / "pictures").iterdir())) == 2
    shown = lsdc("predict", tmp_path / "in", *given[1:], "--threads", "1", "--no-pictures")
    assert shown.code == 0, shown.out + shown.err
    assert "2 folds: 2 studies" in shown.out
    assert max(map(len, shown.out.partition("/")[0].splitlines())) <= 80


@pytest.mark.slow_runs
def test_inspect_draws_a_study_with_maps_of_the_models(home: Path, tmp_path: Path) -> None:
    studies = pl.read_parquet(home / "runs/tiny/oof.parquet")["study_id"]
    tested = pl.read_parquet(home / "runs/tiny/predictions.parquet")["image_id"]
    of_test = next(
        table.filter(pl.col("image_id").is_in(tested.implode()))["study_id"][0]
        for path in home.glob("**/images.parquet")
        if len(table := pl.read_parquet(path)) > len(tested)
    )
    for study in (studies[0], of_test):
        done = lsdc(
            "inspect", study, "--home", home, "--experiment", "tiny", "--out", tmp_path / "a.png"
        )
        assert done.code == 0, done.out + done.err
        with Image.open(tmp_path / "a.png") as picture:
            drawn = np.asarray(picture.convert("RGB")).astype(int)
        assert (drawn[-300:, :, 0] - drawn[-300:, :, 1] > 30).any()  # the tint of a map


@pytest.mark.slow_runs
def test_only_the_sequence_model_is_trained_anew_if_its_settings_change(
    data: Path, home: Path
) -> None:
    done = run_tiny(data, home, "--set", "sequence.epochs=2")
    assert done.code == 0, done.out + done.err
    assert {"sequence 0", "sequence 1", "oof"} <= done.ran
    assert not {"index", "folds", "slices train", "fold 0", "fold 1"} & done.ran


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
    jail = Jail(tmp_path, linked_python(tmp_path / "python", LIBRARIES))
    done = jail.run(bundle, [data, "--out", "submission.csv", "--threads", "1"])
    assert done.returncode == 0, done.stdout + done.stderr
    made, run = tmp_path / "out" / "submission.csv", home / "runs/tiny/submission.csv"
    assert made.read_bytes() == run.read_bytes()


@pytest.mark.slow_runs
def test_a_killed_worker_leaves_the_submission_of_the_prior(
    data: Path, bundle: Path, tmp_path: Path
) -> None:
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
    with out.open() as file:
        rows = {row["ID"]: float(row["Label"]) for row in csv.DictReader(file)}
    sample = pl.read_csv(data / "stage_2_sample_submission.csv")
    assert [*rows] == sample["ID"].to_list()
    with (bundle / "models/tiny/prior.csv").open() as file:
        prior = {row["label"]: float(row["Label"]) for row in csv.DictReader(file)}
    assert all(value == prior[row.rpartition("_")[2]] for row, value in rows.items())


def test_data_of_another_challenge_are_refused(data: Path, home: Path) -> None:
    done = lsdc("run-local", "--experiment", "demo", "--data", data, "--home", home)
    assert done.code == 2
    assert "an experiment of RSNA 2024" in done.err.replace("\n", " ")


@pytest.mark.slow_runs
@pytest.mark.parametrize(("beside", "folds"), [("nothing", 4), ("the phantom", 2)])
def test_real_studies_are_predicted_whole(
    beside: str, folds: int, data: Path, presets: None, real_data: Path, tmp_path: Path
) -> None:
    real = real_data / "hemorrhage"
    mixed = real if beside == "nothing" else join_folders([real, data], tmp_path / "mixed")
    home = tmp_path / "home"
    done = run_tiny(mixed, home, folds=folds)
    assert done.code == 0, done.out + done.err
    oof = pl.read_parquet(home / "runs/tiny/oof.parquet")
    labels = read_labels(mixed)
    # One file of the phantom has too few pixels and is in no fold; all real ones are.
    missing = labels.join(oof, on="image_id", how="anti")["image_id"].to_list()
    assert len(missing) == (beside == "the phantom")
    assert {*read_labels(real)["image_id"]} <= {*oof["image_id"]}
    assert oof["fold"].n_unique() == folds
    written = pl.read_csv(home / "runs/tiny/submission.csv")
    sample = pl.read_csv(mixed / "stage_2_sample_submission.csv")
    assert written["ID"].to_list() == sample["ID"].to_list()
    assert written["Label"].is_between(0, 1, closed="none").all()


def join_folders(folders: list[Path], out: Path) -> Path:
    """Make one competition of several: their images as links, and their tables joined."""
    for part in ("stage_2_train_images", "stage_2_test_images"):
        (out / part).mkdir(parents=True)
        for file in (file for folder in folders for file in (folder / part).iterdir()):
            (out / part / file.name).symlink_to(file)
    for name in ("stage_2_train.csv", "stage_2_sample_submission.csv"):
        pl.concat([pl.read_csv(folder / name) for folder in folders]).write_csv(out / name)
    return out


@pytest.mark.slow_prefect
def test_pools_train_folds_of_this_challenge_to_the_same_bits(
    data: Path, home: Path, tmp_path: Path
) -> None:
    other = tmp_path / "home"
    names = run_on_pools(data, other)
    assert {"train-fold-0-tiny", "train-fold-1-tiny"} <= names
    assert digests(other / "runs/tiny") == digests(home / "runs/tiny")
    shutil.rmtree(other)
