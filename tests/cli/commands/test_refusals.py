"""External failures are errors of one line; a bug of lsdc is a traceback."""

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
    """Return a list whose first error the command raises."""
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
def test_full_disk_is_an_error_of_one_line(
    number: int, wrapped: bool, failing: "list[Exception]", capsys: pytest.CaptureFixture
) -> None:
    error = OSError(number, os.strerror(number))
    line = line_of(failing, RuntimeError(f"lib: {error}\nat x") if wrapped else error, capsys)
    assert line.startswith("lsdc: no space left on the disk (")
    assert os.strerror(number) in line


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EROFS])
def test_failing_disk_is_an_error_of_one_line(
    number: int, failing: "list[Exception]", capsys: pytest.CaptureFixture
) -> None:
    line = line_of(failing, OSError(number, os.strerror(number)), capsys)
    assert line.startswith("lsdc: a disk failed (")


def test_deleted_working_folder_is_an_error_of_one_line(
    failing: "list[Exception]",
    capsys: pytest.CaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = FileNotFoundError(errno.ENOENT, "No such file or directory")
    failing.append(error)
    with pytest.raises(FileNotFoundError):
        main()  # a bug, since the working folder exists
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert line_of(failing, error, capsys) == (
        "lsdc: the working folder no longer exists; change to one that exists"
    )
