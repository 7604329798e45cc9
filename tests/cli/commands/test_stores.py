"""Shared stores that a command accepts or refuses."""

from pathlib import Path

import pytest

from lsdc.cli.app import main
from lsdc.store.remote import RemoteStore
from tasks.run import Host


def test_store_option_overrides_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSDC_STORE", "")
    assert Host.find() == Host(None, "threads")
    monkeypatch.setenv("LSDC_STORE", str(tmp_path / "mine"))
    assert Host.find().store == RemoteStore(str(tmp_path / "mine"))
    assert Host.find(str(tmp_path / "store")).store == RemoteStore(str(tmp_path / "store"))


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
