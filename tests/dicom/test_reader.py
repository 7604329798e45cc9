"""The reader: a bad file never affects the others."""

import importlib.util
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from lsdc.dicom import reader
from lsdc.dicom.headers import Header
from lsdc.dicom.names import escape_name
from lsdc.dicom.reader import Unreadable, read_headers
from lsdc.dicom.supervisor import Failure, supervise
from tests.dicom.conftest import Inject, WriteDicom
from tests.dicom.reading import PYTHON, children, copies, images_by_index, read_all, read_rows


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Raise TimeoutError if the block takes longer."""

    def give_up(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def truncated_file(write_dicom: WriteDicom) -> Path:
    """Write a file truncated in its native PixelData, but not suspicious by its size."""
    path = write_dicom("cut.dcm", ImageComments="x" * 2000)
    os.truncate(path, path.stat().st_size - 100)
    return path


def test_truncated_file_crashes_dicomsdl(truncated_file: Path) -> None:
    code = f"import dicomsdl; dicomsdl.open({os.fspath(truncated_file)!r})"
    assert subprocess.run([*PYTHON, code], check=False).returncode == -signal.SIGSEGV


def test_invalid_file_is_refused_with_a_reason_and_affects_no_other(
    write_dicom: WriteDicom, tmp_path: Path
) -> None:
    good = write_dicom("good.dcm")
    (tmp_path / "empty.dcm").touch()
    (tmp_path / "text.dcm").write_text("no image, " * 100)
    (tmp_path / "dangling.dcm").symlink_to("nowhere")
    (tmp_path / "loop.dcm").symlink_to("loop.dcm")
    (tmp_path / "folder.dcm").mkdir()
    os.mkfifo(tmp_path / "fifo.dcm")
    expected = {
        "empty.dcm": "0 bytes, expected at least 256",
        "text.dcm": "not DICOM",
        "missing.dcm": "No such file",
        "dangling.dcm": "No such file",
        "loop.dcm": "Too many levels of symbolic links",
        "folder.dcm": "not a regular file",
        "fifo.dcm": "not a regular file",
        "nul\0.dcm": "a zero byte",
    }
    paths = [path for name in expected for path in (tmp_path / name, good)]
    outcomes = read_all(paths)
    for reason, bad, header in zip(expected.values(), outcomes[::2], outcomes[1::2], strict=True):
        assert isinstance(bad, Unreadable)
        assert reason in bad.reason
        assert isinstance(header, Header)


def test_broken_images_affect_no_other_files(write_dicom: WriteDicom, truncated_file: Path) -> None:
    name_as_syntax = write_dicom("name.dcm")
    content, syntax = name_as_syntax.read_bytes(), b"1.2.840.10008.1.2.1\0"
    name_as_syntax.write_bytes(content.replace(syntax, b"DOE^JANE".ljust(len(syntax), b"\0")))
    broken = {
        truncated_file: "bytes of PixelData, expected 768",
        write_dicom("native.dcm", Rows=48): "768 bytes of PixelData, expected 1536",
        write_dicom("rle.dcm", syntax="rle", Rows=48): "RLE Lossless (1.2.840.10008.1.2.5)",
        name_as_syntax: "TransferSyntaxUID",
    }
    if sys.platform == "linux":  # only there memory is limited
        huge = write_dicom("huge.dcm", syntax="rle", Rows=60000, Columns=60000)
        broken[huge] = "1,024 MiB of memory"
    good = write_dicom("good.dcm")
    paths = [path for bad in broken for path in (good, bad, good)]
    outcomes = dict(images_by_index(paths))
    assert list(outcomes) == list(range(len(paths)))
    for number, outcome in outcomes.items():
        if paths[number] == good:
            assert isinstance(outcome, np.ndarray)
        else:
            assert isinstance(outcome, Unreadable)
            assert broken[paths[number]] in outcome.reason
            assert "DOE" not in outcome.reason  # a reason contains no value from the file
    assert not children()


def test_header_of_a_truncated_file_is_read(truncated_file: Path) -> None:
    (header,) = read_all([truncated_file])
    assert isinstance(header, Header)


def nested(path: Path, depth: int) -> Path:
    """Insert nested sequences before the last tags of the header; they crash both readers."""
    content = path.read_bytes()
    at = content.index(b"\x28\x00\x02\x00")
    opened = struct.pack("<HH", 0x21, 0x1010) + b"SQ\0\0" + b"\xff" * 4
    opened += b"\xfe\xff\x00\xe0" + b"\xff" * 4
    closed = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    path.write_bytes(content[:at] + opened * depth + closed * depth + content[at:])
    return path


def test_files_that_crash_a_child_affect_no_other_files(write_dicom: WriteDicom) -> None:
    paths = copies(write_dicom, 400)
    killers = [0, 100, 101, 102, 255, 256, 399]
    for number in killers:
        nested(paths[number], depth=50_000)
    for number, outcome in enumerate(read_all(paths)):
        if number in killers:
            assert outcome == Unreadable(
                "pydicom: damaged, cannot be parsed (dicomsdl: killed by SIGSEGV)"
            )
        else:
            assert isinstance(outcome, Header)
            assert outcome.instance_number == number
    assert not children()


@pytest.mark.parametrize("harm", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(3)"])
def test_file_that_crashes_both_readers_has_both_reasons(
    write_dicom: WriteDicom, inject: Inject, harm: str
) -> None:
    paths = copies(write_dicom, 300)
    inject.when_opened(paths[150], harm)
    *_, killed = outcomes = read_all([*paths[:150], *paths[151:], paths[150]])
    assert all(isinstance(outcome, Header) for outcome in outcomes[:-1])
    end = "killed by SIGKILL" if "KILL" in harm else "exit code 3"
    assert killed == Unreadable(f"pydicom: {end} (dicomsdl: {end})")


def test_file_that_hangs_affects_no_other_files(
    write_dicom: WriteDicom, inject: Inject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_FIRST_PAUSE_SECONDS", 0.01)
    paths = copies(write_dicom, 300)
    inject.when_opened(paths[150], "while True: pass")
    outcomes = read_all(paths, file_seconds=0.5)
    assert outcomes.pop(150) == Unreadable(
        "pydicom: no answer within 0.5 s (dicomsdl: no answer within 0.5 s)"
    )
    assert all(isinstance(outcome, Header) for outcome in outcomes)


def test_later_file_that_fails_first_does_not_block_earlier_files(
    write_dicom: WriteDicom, inject: Inject
) -> None:
    names = [escape_name(path) for path in copies(write_dicom, 9)]
    inject.when_opened(Path(names[0]), "while True: pass")
    # The last file of the second request, farther ahead of the first than is allowed.
    inject.when_opened(Path(names[5]), "os.kill(os.getpid(), signal.SIGKILL)")
    reading = supervise(
        names, work="pixels", processes=2, batch_files=3, files_ahead=4, file_seconds=0.5
    )
    with at_most(60):
        outcomes = [outcome for outcome in reading for _ in range(outcome.count)]
    failed = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, Failure)]
    assert failed == [0, 5]
    assert len(outcomes) == len(names)


NOISE = [
    b"[" * 100_000,
    b"null",
    b"{}",
    b'{"count": "two", "refused": "no"}',
    b'{"count": 0, "refused": "no"}',
    b'{"count": 0.5, "refused": "no"}',
    b'{"count": 1000, "refused": "no"}',
    b'{"count": 2, "refused": "no"}',
    b'{"count": 2, "declined": "no", "formats": []}',
    b'{"count": 1, "refused": "\\ud800", "status": [99999999999999999999, 1]}',
    b'{"count": 2, "formats": [[1, 2]]}',
    b'{"count": 2, "images": []}',
    b'{"count": 2, "images": [[1, 1, false]]}',
    b'{"count": 1, "images": [[-5, 1, false]]}',
    b'{"count": 1, "images": [[0, 0, false]]}',
    b'{"count": 1, "images": [[-5, 1, true]]}',
    b'{"count": 1, "images": [[100000, 100000, true]]}',
    b'{"count": 1, "images": [["1", null, true]]}',
]


@pytest.mark.parametrize("work", ["headers", "pixels"])
def test_invalid_answers_of_children_leave_one_outcome_per_file(
    write_dicom: WriteDicom, inject: Inject, work: str
) -> None:
    paths = copies(write_dicom, 10 * len(NOISE))
    # Sent instead of the answer about this file; sometimes by the children of both readers.
    for number, (path, noise) in enumerate(zip(paths[5::10], NOISE, strict=True)):
        who = "True" if number % 6 == 0 else "'dicomsdl' in sys.argv"
        inject.when_opened(path, f"if {who}: speak({noise!r})")
    if work == "headers":
        outcomes: list[object] = list(read_all(paths))
    else:
        by_index = list(images_by_index(paths))
        assert [index for index, _ in by_index] == list(range(len(paths)))
        outcomes = [outcome for _, outcome in by_index]
        assert all(getattr(outcome, "shape", (24, 16)) == (24, 16) for outcome in outcomes)
    assert len(outcomes) == len(paths)
    # A valid answer counts for as many files as it names; no other file is affected.
    touched = sum(isinstance(outcome, Unreadable) for outcome in outcomes)
    assert 0 < touched <= 3 * len(NOISE)
    assert not children()


def test_file_that_takes_too_long_is_unreadable(
    write_dicom: WriteDicom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_FIRST_PAUSE_SECONDS", 0.01)
    (outcome,) = read_all([write_dicom()], file_seconds=1e-5)
    assert outcome == Unreadable(
        "pydicom: no answer within 1e-05 s (dicomsdl: no answer within 1e-05 s)"
    )


def test_files_with_names_that_are_not_utf8_are_read(write_dicom: WriteDicom) -> None:
    path = write_dicom(b"caf\xe9 %FF\xff.dcm")
    assert isinstance(read_all([path])[0], Header)
    assert isinstance(next(images_by_index([path]))[1], np.ndarray)


def test_rows_have_the_size_and_mtime_at_reading(write_dicom: WriteDicom) -> None:
    good, short, gone = write_dicom("good.dcm"), write_dicom("short.dcm"), Path("gone.dcm")
    os.truncate(short, 10)
    rows = read_rows([good, short, gone])
    for path, row in zip((good, short), rows.iter_rows(named=True), strict=False):
        assert (row["bytes"], row["mtime_ns"]) == (path.stat().st_size, path.stat().st_mtime_ns)
        assert row["lasting"]
    *_, last = rows.iter_rows(named=True)
    assert (last["bytes"], last["mtime_ns"], last["lasting"]) == (None, None, False)


def test_tables_are_passed_on_while_files_are_read(write_dicom: WriteDicom) -> None:
    paths = copies(write_dicom, 2000)
    tables: list[int] = []
    read_headers([*map(os.fspath, paths)], lambda table: tables.append(len(table)), block_files=500)
    assert sum(tables) == 2000
    assert len(tables) >= 3
    assert max(tables) < 500 + 256


def test_progress_never_decreases_and_ends_with_all_files(
    write_dicom: WriteDicom, tmp_path: Path
) -> None:
    paths = [*copies(write_dicom, 600), tmp_path / "missing"]
    told: list[tuple[int, int]] = []
    read_all(paths, on_progress=lambda *progress: told.append(progress))
    done = [read for read, _ in told]
    assert done == sorted(done)
    assert {total for _, total in told} == {601}
    assert done[-1] == 601
    assert done[0] < 601


def test_without_dicomsdl_pydicom_reads_all_files_with_a_warning(
    write_dicom: WriteDicom,
    truncated_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "dicomsdl" else find(name)
    )
    good = write_dicom("good.dcm")
    outcomes = [outcome for _, outcome in images_by_index([good, truncated_file, good])]
    assert [type(outcome) for outcome in outcomes] == [np.ndarray, Unreadable, np.ndarray]
    assert "pydicom reads all files" in caplog.text
