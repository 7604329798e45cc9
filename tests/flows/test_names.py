"""A whole run with all characters that folder names may have."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lsdc.challenges.lumbar.competition.tables import open_competition
from lsdc.store.exact_names import open_database, read_parquet
from lsdc.store.home import Home
from tests.flows.conftest import lsdc

SIGNS = "[1] *?#%41%(x){a}${HOME}'q\"&;~:=@,ü\\ -\n."
QUICK = (
    *("coordinates.source=annotated", "coordinates.epochs=1", "coordinates.min_steps=4"),
    *("crops.size_px=32", "training.epochs=1"),
)


@pytest.mark.slow_runs
def test_data_and_home_may_have_any_name(phantom: Path, tmp_path: Path) -> None:
    data, home = tmp_path / f"data {SIGNS}", Home(tmp_path / f"home {SIGNS}")
    shutil.copytree(phantom, data)
    made_with = [word for change in QUICK for word in ("--set", change)]
    outcome = lsdc(
        *("run-local", "--data", data, "--home", home.root, "--folds", "2", "--only-fold", "0"),
        *made_with,
    )
    assert outcome.code == 0, outcome.out + outcome.err
    oof = read_parquet(home.run("demo") / "oof.parquet")
    assert set(oof["study_id"]) <= set(open_competition(data).labels["study_id"])
    assert (home.run("demo") / "submission.csv").is_file()
    with open_database(home.catalog, read_only=True) as catalog:
        (images,) = catalog.execute("SELECT count(*) FROM instances").fetchone() or (0,)
    assert images > 0
    with closing(sqlite3.connect(home.prefect / "prefect.db")) as history:
        assert history.execute("SELECT state_type FROM flow_run").fetchall() == [("COMPLETED",)]
    assert {path.name for path in tmp_path.iterdir()} == {data.name, home.root.name}
    study = str(oof["study_id"][0])
    shown = lsdc("inspect", study, "--home", home.root, "--out", tmp_path / f"{SIGNS}.png")
    assert shown.code == 0, shown.err
