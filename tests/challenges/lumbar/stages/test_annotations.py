"""The annotations stage: raw and clean annotations are two results, and changes are logged."""

import logging
import shutil
from pathlib import Path

import duckdb
import polars as pl
import pytest

from lsdc.challenges.lumbar.catalog_tables import CATALOG
from lsdc.challenges.lumbar.competition.tables import open_competition
from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.challenges.lumbar.stages.annotations import correct_annotations
from lsdc.challenges.lumbar.stages.coordinates import learn_coordinates
from lsdc.store.catalog import publish_catalog
from lsdc.store.manifest import Manifest
from tasks.request import RunRequest
from tasks.run import Run, open_run
from tests.challenges.lumbar.quality.examined import undo_corrections
from tests.tasks.conftest import indexed


@pytest.fixture(scope="module")
def swapped(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the phantom with the names of its first foraminal pair exchanged."""
    root = tmp_path_factory.mktemp("swapped") / "competition"
    shutil.copytree(phantom, root)
    table = root / "train_label_coordinates.csv"
    points = pl.read_csv(table, infer_schema=False)
    pair = points.filter(pl.col("condition").str.contains("Foraminal")).row(0, named=True)
    theirs = pl.all_horizontal(pl.col(name) == pair[name] for name in ("study_id", "level"))
    names = {f"{a} Neural Foraminal Narrowing": f"{b} Neural Foraminal Narrowing"
             for a, b in (("Left", "Right"), ("Right", "Left"))}  # fmt: skip
    exchanged = pl.when(theirs).then(pl.col("condition").replace(names)).otherwise("condition")
    points.with_columns(condition=exchanged).write_csv(table)
    return root


@pytest.fixture(scope="module")
def run(swapped: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return open_run(
        LumbarRun,
        RunRequest.of(
            experiment="demo", data=swapped, home=tmp_path_factory.mktemp("home"), folds=2
        ),
    )


@pytest.fixture(scope="module")
def index(run: Run) -> Manifest:
    return indexed(run, "train")


def in_mode(run: Run, mode: str, index: Manifest) -> Manifest:
    return correct_annotations.fn(run.model_copy(update={"annotations": mode}), index)


def test_clean_annotations_are_a_separate_result_with_logged_changes(
    run: Run, index: Manifest, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="lsdc"):
        raw = in_mode(run, "raw", index)
        assert caplog.messages == []
        clean = in_mode(run, "clean", index)
    assert caplog.messages == ["annotations: 2 corrections in 1 study (sides_swapped 2)"]
    assert raw.digest != clean.digest
    keys = [learn_coordinates.key(run, index, index, each) for each in (raw, clean)]
    assert keys[0] != keys[1]

    given = open_competition(run.data).annotations
    assert pl.read_parquet(raw.file(run.root, "annotations.parquet")).equals(given)
    assert pl.read_parquet(raw.file(run.root, "corrections.parquet")).is_empty()
    mended = pl.read_parquet(clean.file(run.root, "annotations.parquet"))
    made = pl.read_parquet(clean.file(run.root, "corrections.parquet"))
    assert not mended.equals(given)
    assert undo_corrections(mended, made).equals(given)


def test_catalog_lists_the_corrections(run: Run, index: Manifest) -> None:
    publish_catalog(run.home, "demo", [index, in_mode(run, "clean", index)], CATALOG)
    with duckdb.connect(str(run.home.catalog), read_only=True) as catalog:
        rows = catalog.execute("SELECT DISTINCT rule, became_level = level FROM corrections")
        assert rows.fetchall() == [("sides_swapped", True)]
