"""`lsdc suspects` on the command line."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from lsdc.cli.commands.suspects import suspects
from lsdc.errors import SettingsError
from lsdc.store.home import Home
from tests.challenges.lumbar.report.made_run import write_run

SHARES = ["normal_mild", "moderate", "severe"]

app = typer.Typer()
app.command()(suspects)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return write_run(tmp_path_factory.mktemp("home"))


def typed(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_labels_that_the_run_contradicts_are_listed(home: Home, tmp_path: Path) -> None:
    oof = pl.read_parquet(home.run("demo") / "oof.parquet").filter(pl.col("label").is_not_null())
    given = oof.select(SHARES).to_numpy()[np.arange(len(oof)), oof["label"].to_numpy()]
    limit = float(np.quantile(1 - given, 0.9))
    expected = {row for row, share in zip(oof["row_id"], given, strict=True) if 1 - share >= limit}
    options = ("demo", "--home", home.root, "--doubt", limit)
    printed = typed(*options, "--out", tmp_path / "suspects.csv")
    assert f"{len(expected)} of {len(oof)} labels" in printed
    written = pl.read_csv(tmp_path / "suspects.csv")
    assert set(written["row_id"]) == expected
    assert written["doubt"].is_sorted(descending=True)
    facts = json.loads(typed(*options, "--json"))
    assert facts["labels"] == len(oof)
    assert [row["row_id"] for row in facts["suspects"]] == written["row_id"].to_list()


def test_predictions_without_labels_are_refused(home: Home) -> None:
    oof = home.run("demo") / "oof.parquet"
    with pytest.raises(SettingsError, match="expected --data as well"):
        typed("--predictions", oof)
