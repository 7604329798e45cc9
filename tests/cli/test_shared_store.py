"""Which shared stores a command takes, and which it refuses."""

import os
from pathlib import Path

import pytest

from lsdc.cli.app import main
from lsdc.cli.shared_store import choose_store
from lsdc.store.remote import RemoteStore


def test_store_that_was_chosen_is_that_of_what_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSDC_STORE", "")
    assert choose_store(None) is None
    assert choose_store(str(tmp_path / "store")) == RemoteStore(str(tmp_path / "store"))
    assert os.environ["LSDC_STORE"] == str(tmp_path / "store")


@pytest.mark.parametrize("command", [["run-local"], ["up"], ["worker", "--pool", "lsdc-gpu"]])
def test_command_on_object_storage_without_postgresql_is_refused(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("LSDC_DATABASE_URL", raising=False)
    monkeypatch.setattr(
        "sys.argv",
        ["lsdc", *command, "--store", "s3://bucket/x", "--home", str(tmp_path / "home")],
    )
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "set LSDC_DATABASE_URL=postgresql://" in capfd.readouterr().err
    assert not (tmp_path / "home").exists()
