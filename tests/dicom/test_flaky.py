"""Drives that fail for a moment: failed files are retried, with a warning.

The faults are raised by the system calls of the real child processes.
"""

import errno
import logging
import os
import struct
import threading
from pathlib import Path

import numpy as np
import pytest

from lsdc.dicom import reader
from lsdc.dicom.headers import Header
from lsdc.dicom.preflight import START_BYTES
from lsdc.dicom.reader import Unreadable
from tests.dicom.conftest import Inject, WriteDicom
from tests.dicom.reading import by_pydicom, images_by_index, outcome_of, read_all, read_rows

ATTEMPTS = 4


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_FIRST_PAUSE_SECONDS", 0.01)


@pytest.fixture
def path(write_dicom: WriteDicom) -> Path:
    return write_dicom()


@pytest.fixture
def others(write_dicom: WriteDicom) -> list[Path]:
    return [write_dicom(f"other{n}.dcm", InstanceNumber=n) for n in range(5)]


@pytest.fixture
def long(write_dicom: WriteDicom) -> Path:
    """Return a file that is read in several parts: its header is longer than the first block."""
    path = write_dicom("long.dcm")
    content = path.read_bytes()
    at = content.index(b"\x28\x00\x02\x00")
    filler = struct.pack("<HH2s2xI", 0x21, 0x1010, b"UN", START_BYTES) + bytes(START_BYTES)
    path.write_bytes(content[:at] + filler + content[at:])
    return path


CALLS = ["open", "read", "status"]


def fail(inject: Inject, path: Path, *, call: str, error: str = "EIO", times: int) -> Path:
    """Let a system call on the file fail `times` times; return the file that counts them."""
    state = path.with_suffix(".failures")
    add = {
        "open": inject.when_opened,
        "read": inject.when_read,
        "status": inject.when_asked,
        "stream": inject.when_streamed,
    }[call]
    add(path, f"fail(errno.{error}, {times}, {os.fspath(state)!r})")
    return state


@pytest.mark.parametrize("times", [1, ATTEMPTS - 1])
@pytest.mark.parametrize("error", ["EIO", "ESTALE"])
@pytest.mark.parametrize("call", CALLS)
def test_transient_failure_of_a_file_is_retried(
    path: Path,
    others: list[Path],
    inject: Inject,
    call: str,
    error: str,
    times: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    state = fail(inject, path, call=call, error=error, times=times)
    with caplog.at_level(logging.WARNING, "lsdc"):
        rows = read_rows([*others, path]).to_dicts()
    assert state.stat().st_size == times
    assert [outcome_of(row) for row in rows] == [by_pydicom(each) for each in [*others, path]]
    assert all(row["lasting"] for row in rows)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == times
    for n, message in enumerate(said):
        assert f"1 file could not be read ({path}: cannot be" in message
        assert os.strerror(getattr(errno, error)) in message
        assert f"attempt {n + 2} of {ATTEMPTS} follows" in message


@pytest.mark.parametrize("call", CALLS)
def test_permanent_failure_is_a_row_that_is_not_cached(
    path: Path, others: list[Path], inject: Inject, call: str
) -> None:
    state = fail(inject, path, call=call, times=10**6)
    *good, bad = read_rows([*others, path]).to_dicts()
    assert [outcome_of(row) for row in good] == [by_pydicom(each) for each in others]
    assert bad["reason"].startswith("cannot be ")
    assert bad["reason"].endswith(": Input/output error")
    assert not bad["lasting"]
    assert (bad["bytes"], bad["mtime_ns"]) == (path.stat().st_size, path.stat().st_mtime_ns)
    assert state.stat().st_size == ATTEMPTS


def test_many_failed_files_are_retried_together(
    others: list[Path], inject: Inject, caplog: pytest.LogCaptureFixture
) -> None:
    for path in others:
        fail(inject, path, call="read", times=2)
    outcomes = read_all(others)
    assert [getattr(header, "instance_number", None) for header in outcomes] == [0, 1, 2, 3, 4]
    assert ["5 files" in record.getMessage() for record in caplog.records] == [True, True]


@pytest.mark.parametrize("error", ["EACCES", "ENOENT", "ELOOP"])
def test_lasting_failure_is_not_retried(path: Path, inject: Inject, error: str) -> None:
    state = fail(inject, path, call="open", error=error, times=10**6)
    (row,) = read_rows([path]).to_dicts()
    assert row["reason"] == f"cannot be opened: {os.strerror(getattr(errno, error))}"
    assert not row["lasting"]
    assert state.stat().st_size == 1


def test_transient_failure_of_the_second_reader_is_retried(path: Path, inject: Inject) -> None:
    inject.when_opened(path, "if 'dicomsdl' in sys.argv: os._exit(1)")
    state = fail(inject, path, call="stream", times=2)
    assert read_all([path]) == [by_pydicom(path)]
    assert state.stat().st_size == 2


@pytest.mark.parametrize("times", [1, ATTEMPTS - 1])
def test_file_that_changes_while_it_is_read_is_read_again(
    long: Path, inject: Inject, times: int, caplog: pytest.LogCaptureFixture
) -> None:
    state = long.with_suffix(".changes")
    inject.when_read(long, f"append({os.fspath(long)!r}, {times}, {os.fspath(state)!r})")
    before = long.stat().st_size
    (row,) = read_rows([long]).to_dicts()
    assert outcome_of(row) == by_pydicom(long)
    # The row is that of the file as it is now.
    assert row["bytes"] == before + times == long.stat().st_size
    assert row["mtime_ns"] == long.stat().st_mtime_ns
    assert row["lasting"]
    assert caplog.text.count("changed while it was read") == times


def test_file_that_keeps_changing_is_a_row_that_is_not_cached(long: Path, inject: Inject) -> None:
    state = os.fspath(long.with_suffix(".changes"))
    inject.when_read(long, f"append({os.fspath(long)!r}, {10**6}, {state!r})")
    (row,) = read_rows([long]).to_dicts()
    assert row["reason"] == "changed while it was read"
    assert not row["lasting"]


def test_file_that_grows_after_its_start_was_read_keeps_its_old_size(
    path: Path, inject: Inject
) -> None:
    """The file is read again next time, as its size and mtime differ."""
    before = path.stat()
    state = os.fspath(path.with_suffix(".changes"))
    inject.when_read(path, f"append({os.fspath(path)!r}, 1, {state!r})")
    (row,) = read_rows([path]).to_dicts()
    assert outcome_of(row) == by_pydicom(path)
    assert (row["bytes"], row["mtime_ns"]) == (before.st_size, before.st_mtime_ns)
    assert path.stat().st_size == before.st_size + 1


@pytest.mark.parametrize("call", CALLS)
def test_transient_failure_of_pixels_is_retried(
    path: Path, others: list[Path], inject: Inject, call: str
) -> None:
    fail(inject, path, call=call, times=2)
    paths = [*others[:2], path, *others[2:]]
    images = list(images_by_index(paths))
    assert [number for number, _ in images] == list(range(6))
    for _, image in images:
        np.testing.assert_array_equal(image, np.arange(24 * 16).reshape(24, 16))


def test_permanent_failure_of_pixels_affects_no_other_file(
    path: Path, others: list[Path], inject: Inject
) -> None:
    state = fail(inject, path, call="read", times=10**6)
    images = [image for _, image in images_by_index([*others[:2], path, *others[2:]])]
    assert images.pop(2) == Unreadable("cannot be read: Input/output error")
    assert all(isinstance(image, np.ndarray) for image in images)
    assert state.stat().st_size == ATTEMPTS


def test_file_that_is_rewritten_constantly_affects_no_other_file(
    long: Path, others: list[Path]
) -> None:
    """A truncation while a child maps the file may end the child, but never the parent.

    Changes within one tick of the system clock do not change the mtime and are not noticed.
    """
    whole = long.read_bytes()
    header = by_pydicom(long)
    done = threading.Event()

    def rewrite() -> None:
        while not done.is_set():
            os.truncate(long, len(whole) // 3)
            with long.open("r+b") as file:
                file.write(whole)

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        outcomes = read_all([long, others[0]] * 40)
    finally:
        done.set()
        writer.join()
    assert outcomes[1::2] == [by_pydicom(others[0])] * 40
    assert read_all([long]) == [header]
    assert isinstance(header, Header)


def test_file_whose_drive_fails_before_closing_is_read_again(
    long: Path, inject: Inject, caplog: pytest.LogCaptureFixture
) -> None:
    state = long.with_suffix(".failures")
    # The first call succeeds, the one at the end fails.
    inject.when_asked(long, f"first(1, {os.fspath(state)!r}) or fail(errno.ESTALE, 2, '{state}')")
    assert read_all([long]) == [by_pydicom(long)]
    assert caplog.text.count("changed while it was read") == 1
