from pathlib import Path

import pytest
from typer.testing import CliRunner

from lsdc.cli.app import app
from lsdc.errors import HomeBusyError
from lsdc.store.home import open_home
from lsdc.store.manifest import Manifest
from lsdc.store.occupancy import occupy
from lsdc.store.rubbish import refer


def test_clean_says_what_asks_and_spares_what_runs_rest_on(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    for name in ("crops/kept", "crops/old"):
        (home.root / name).mkdir(parents=True)
        (home.root / name / "crops.npy").write_bytes(bytes(2000))
    kept = Manifest(stage="crops", path="crops/kept", digest="", rows=0, files=())
    refer(home, "demo", [kept])
    command = ["clean", "--home", str(home.root)]

    refused = CliRunner().invoke(app, command, input="n\n")
    assert "crops/old" in refused.output
    assert "2.0 kB" in refused.output
    assert (home.root / "crops/old").exists()

    CliRunner().invoke(app, [*command, "--yes"], catch_exceptions=False)
    assert not (home.root / "crops/old").exists()
    assert (home.root / "crops/kept/crops.npy").exists()
    assert "nothing to remove" in CliRunner().invoke(app, command).output


def test_clean_is_refused_while_a_run_waits_for_what_others_make(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    (home.root / "crops/needed").mkdir(parents=True)
    command = ["clean", "--home", str(home.root), "--yes"]
    with occupy(home, "demo", "some", say=pytest.fail), pytest.raises(HomeBusyError, match="demo"):
        CliRunner().invoke(app, command, catch_exceptions=False)
    assert (home.root / "crops/needed").exists()
    CliRunner().invoke(app, command, catch_exceptions=False)
    assert not (home.root / "crops/needed").exists()
