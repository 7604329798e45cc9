"""What the world outside refuses is one line; a fault of ours is a traceback, which helps."""

import errno
import os
from pathlib import Path
from typing import NoReturn

import pytest

import lsdc.cli.app
from lsdc.cli.app import main
from lsdc.errors import NO_ROOM


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> "list[Exception]":
    """What the command raises: the first of this list."""
    errors: list[Exception] = []

    def fail() -> NoReturn:
        raise errors[0]

    monkeypatch.setattr(lsdc.cli.app, "app", fail)
    monkeypatch.setattr(lsdc.cli.app, "prepare_streams", lambda: None)
    monkeypatch.setattr(lsdc.cli.app.signal, "signal", lambda *_: None)
    return errors


def line_of(failing: "list[Exception]", error: Exception, capsys: pytest.CaptureFixture) -> str:
    failing.append(error)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return str(line)


@pytest.mark.parametrize("number", NO_ROOM)
@pytest.mark.parametrize("wrapped", [False, True])
def test_no_room_is_one_line(
    number: int, wrapped: bool, failing: "list[Exception]", capsys: pytest.CaptureFixture
) -> None:
    error = OSError(number, os.strerror(number))
    line = line_of(failing, RuntimeError(f"lib: {error}\nat x") if wrapped else error, capsys)
    assert line.startswith("lsdc: no space left on the disk (")
    assert os.strerror(number) in line


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EROFS])
def test_disk_that_fails_is_one_line(
    number: int, failing: "list[Exception]", capsys: pytest.CaptureFixture
) -> None:
    line = line_of(failing, OSError(number, os.strerror(number)), capsys)
    assert line.startswith("lsdc: a disk does not answer as it should (")


def test_working_folder_is_called_gone_where_it_is(
    failing: "list[Exception]",
    capsys: pytest.CaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = FileNotFoundError(errno.ENOENT, "No such file or directory")
    failing.append(error)
    with pytest.raises(FileNotFoundError):
        main()  # of ours, since the working folder is there
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert line_of(failing, error, capsys) == (
        "lsdc: the working folder is gone; change to one that is there"
    )
