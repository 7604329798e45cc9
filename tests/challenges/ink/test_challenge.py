"""The ink challenge, as commands call it: recognised, indexed, scored, refused by name."""

import json
from io import StringIO
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
from rich.console import Console

from lsdc.challenges.ink.challenge import INK
from lsdc.challenges.ink.competition.run_length import encode
from lsdc.challenges.ink.run import InkRun
from lsdc.challenges.ink.scoring.metric import f_beta
from lsdc.challenges.registry import challenge_in
from lsdc.errors import DataError, SettingsError
from lsdc.store.home import open_home
from tasks.request import RunRequest
from tasks.run import open_run
from tests.challenges.ink.made_fragments import write_fragment

SHAPE = (24, 20)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder with two training fragments and one to predict."""
    root, rng = tmp_path / "data", np.random.default_rng(0)
    mask = np.ones(SHAPE, bool)
    for number, (name, split) in enumerate([("1", "train"), ("2", "train"), ("a", "test")]):
        volume = rng.integers(0, 65535, (65, *SHAPE)).astype(np.uint16)
        ink = np.zeros(SHAPE, bool)
        ink[4 : 12 + number, 3:9] = True
        write_fragment(root, name, split, mask, ink, volume)  # type: ignore[arg-type]
    (root / "sample_submission.csv").write_text("Id,Predicted\na,1 1\n")
    return root


def test_a_folder_of_fragments_is_recognised(data: Path, tmp_path: Path) -> None:
    assert challenge_in(data) is INK
    assert challenge_in(tmp_path) is None


def test_index_lists_fragments_and_layers_in_the_catalog(data: Path, tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    told: list[tuple[int, int]] = []
    found = INK.index(data, home, processes=1, on_progress=lambda *each: told.append(each))
    assert told[-1] == (3, 3)
    with duckdb.connect(str(home.catalog), read_only=True) as catalog:
        rows = catalog.execute("SELECT fragment, height_px, width_px FROM fragments").fetchall()
        layers = catalog.execute(f"SELECT count(*) FROM {found.table}").fetchone()
    assert rows == [("1", *SHAPE), ("2", *SHAPE), ("a", *SHAPE)]
    assert layers == (3 * 65,)
    text = StringIO()
    found.show(Console(file=text, width=100))
    assert "195 layers" in text.getvalue()
    assert "16 bits, plain" in text.getvalue()
    assert json.loads(json.dumps(found.as_dict()))["layers"] == 195


def test_index_names_a_layer_that_is_missing(data: Path, tmp_path: Path) -> None:
    (data / "train/2/surface_volume/31.tif").unlink()
    home = open_home(tmp_path / "home")
    with pytest.raises(DataError, match=r"train/2/surface_volume: 1 layer .31.tif. missing"):
        INK.index(data, home, processes=1, on_progress=lambda *_: None)


def test_score_has_the_mean_and_each_row_beside_all_ones(data: Path, tmp_path: Path) -> None:
    guess = np.zeros(SHAPE, bool)
    guess[4:12, 3:9] = True
    rows = pl.DataFrame({"Id": ["2", "1"], "Predicted": [encode(guess)] * 2})
    rows.write_csv(tmp_path / "guess.csv")
    scored = INK.score(tmp_path / "guess.csv", data)
    second = guess.copy()
    second[12, 3:9] = True
    assert scored.losses["1"] == 1
    assert scored.losses["2"] == pytest.approx(f_beta(guess, second))
    assert scored.losses["score"] == pytest.approx((1 + f_beta(guess, second)) / 2)
    assert scored.prior_name == "all ones"


def test_doctor_looks_at_the_folder(data: Path, tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    report = INK.examine(data, home, on_progress=lambda *_: None)
    assert report is not None
    assert report.counts["layers"] == {"test": 65, "train": 130}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"holdout": 0.2}, "--holdout 0.2: expected none"),
        ({"limit": 3}, "--limit 3: expected none"),
        ({"folds": 5, "settings": ("split.bands=[2]",)}, "--folds 5: expected at most 4"),
    ],
)
def test_options_that_do_not_fit_fragments_are_refused(
    data: Path, tmp_path: Path, given: dict[str, object], said: str
) -> None:
    request = RunRequest.of(experiment="ink-demo", data=data, home=tmp_path / "home", **given)
    with pytest.raises(SettingsError, match=said):
        INK.require_competition(open_run(InkRun, request))


def test_a_run_that_fits_is_accepted(data: Path, tmp_path: Path) -> None:
    given = {"experiment": "ink-demo", "data": data, "home": tmp_path / "home"}
    request = RunRequest.of(**given, settings=("split.bands=[2]",), folds=4)
    run = open_run(InkRun, request)
    INK.require_competition(run)
    assert run.has_test
    assert "maps 3" in run.task_runs


def test_commands_that_are_not_there_are_refused_by_name(tmp_path: Path) -> None:
    for command in ("explain", "combine", "list_suspects"):
        assert not INK.brings(command)
    assert INK.brings("predict")
    assert INK.brings("pack")
