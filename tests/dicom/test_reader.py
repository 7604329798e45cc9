"""The reader: whatever a file does, it costs itself alone, and no child process stays behind."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from lsdc.dicom import process
from lsdc.dicom.headers import Header
from lsdc.dicom.reader import Unreadable, read_headers, read_pixels

WriteDicom = Callable[..., Path]

PYTHON = [sys.executable, "-P", "-c"]


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def copies(write_dicom: WriteDicom, count: int) -> list[Path]:
    """As many files, each its own instance."""
    return [write_dicom(f"{n}.dcm", InstanceNumber=n) for n in range(count)]


@pytest.fixture
def cut_file(write_dicom: WriteDicom) -> Path:
    """A file cut at the end of its native PixelData, too long to be suspect by its size."""
    path = write_dicom("cut.dcm", ImageComments="x" * 2000)
    os.truncate(path, path.stat().st_size - 100)
    return path


def test_the_cut_file_is_one_that_ends_a_process(cut_file: Path) -> None:
    code = f"import dicomsdl; dicomsdl.open({os.fspath(cut_file)!r})"
    assert subprocess.run([*PYTHON, code], check=False).returncode == -signal.SIGSEGV


def test_what_is_no_file_of_ours_is_refused_with_its_reason_and_costs_no_other(
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
    outcomes = read_headers(paths)
    for reason, bad, header in zip(expected.values(), outcomes[::2], outcomes[1::2], strict=True):
        assert isinstance(bad, Unreadable)
        assert reason in bad.reason
        assert isinstance(header, Header)


def test_broken_images_cost_themselves_alone(write_dicom: WriteDicom, cut_file: Path) -> None:
    name_as_syntax = write_dicom("name.dcm")
    content, syntax = name_as_syntax.read_bytes(), b"1.2.840.10008.1.2.1\0"
    name_as_syntax.write_bytes(content.replace(syntax, b"DOE^JANE".ljust(len(syntax), b"\0")))
    broken = {
        cut_file: "bytes of PixelData, expected 768",
        write_dicom("native.dcm", Rows=48): "768 bytes of PixelData, expected 1536",
        write_dicom("rle.dcm", syntax="rle", Rows=48): "dicomsdl: DicomException",
        name_as_syntax: "pydicom: ",
    }
    if sys.platform == "linux":  # memory is limited there alone
        huge = write_dicom("huge.dcm", syntax="rle", Rows=60000, Columns=60000)
        broken[huge] = "MemoryError"
    good = write_dicom("good.dcm")
    paths = [path for bad in broken for path in (good, bad, good)]
    outcomes = dict(read_pixels(paths))
    assert list(outcomes) == list(range(len(paths)))
    for number, outcome in outcomes.items():
        if paths[number] == good:
            assert isinstance(outcome, np.ndarray)
        else:
            assert isinstance(outcome, Unreadable)
            assert broken[paths[number]] in outcome.reason
            assert "DOE" not in outcome.reason  # a reason quotes nothing from the file
    assert not children()


def test_the_header_of_a_cut_file_is_still_read(cut_file: Path) -> None:
    (header,) = read_headers([cut_file])
    assert isinstance(header, Header)


def test_children_killed_from_outside_are_replaced_and_nothing_is_lost(
    write_dicom: WriteDicom,
) -> None:
    paths = copies(write_dicom, 300)

    def kill_one(read: int, _: int) -> None:
        if read in (1, 200):
            children()[0].kill()

    headers = read_headers(paths, on_progress=kill_one)
    assert [getattr(header, "instance_number", header) for header in headers] == list(range(300))


def test_a_file_that_takes_too_long_is_given_up(write_dicom: WriteDicom) -> None:
    (outcome,) = read_headers([write_dicom()], file_seconds=1e-5)
    assert outcome == Unreadable(
        "pydicom: no answer within 1e-05 s (dicomsdl: no answer within 1e-05 s)"
    )


def test_a_child_that_stops_altogether_is_replaced(
    write_dicom: WriteDicom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_GRACE_SECONDS", 0.0)
    paths = copies(write_dicom, 200)

    def stop_one(read: int, _: int) -> None:
        if read == 1:
            children()[0].suspend()

    headers = read_headers(paths, on_progress=stop_one, file_seconds=3)
    assert all(isinstance(header, Header) for header in headers)


def test_names_that_are_no_utf8_are_read(write_dicom: WriteDicom) -> None:
    path = write_dicom(b"caf\xe9 \xff.dcm")
    assert isinstance(read_headers([path])[0], Header)
    assert isinstance(next(read_pixels([path]))[1], np.ndarray)


def test_progress_is_told_after_every_file(write_dicom: WriteDicom) -> None:
    told: list[tuple[int, int]] = []
    read_headers(copies(write_dicom, 5), on_progress=lambda *progress: told.append(progress))
    assert told == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


def test_no_files_need_no_children() -> None:
    assert read_headers([]) == []
    assert list(read_pixels([])) == []


def test_pixels_are_read_a_few_files_ahead_and_no_further(
    write_dicom: WriteDicom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_GRACE_SECONDS", 0.0)
    paths = copies(write_dicom, 80)
    outcomes = read_pixels(paths, file_seconds=0.5)
    next(outcomes)
    time.sleep(1)  # a slow caller is not the children's fault
    for path in paths:
        path.unlink()
    read = [outcome for _, outcome in outcomes if isinstance(outcome, np.ndarray)]
    assert 0 < len(read) < 40


def test_a_reader_that_is_closed_early_leaves_no_child(write_dicom: WriteDicom) -> None:
    outcomes = read_pixels(copies(write_dicom, 40))
    next(outcomes)
    assert children()
    outcomes.close()  # type: ignore[attr-defined]
    assert not children()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_parent_that_is_ended_leaves_no_child(write_dicom: WriteDicom, number: int) -> None:
    code = (
        "import sys, psutil; from pathlib import Path; from lsdc.dicom.reader import read_pixels\n"
        "for i, _ in enumerate(read_pixels([Path(sys.argv[1])] * 100_000)):\n"
        "    if i == 20:\n"
        "        print(*[child.pid for child in psutil.Process().children()], flush=True)"
    )
    arguments = [*PYTHON, code, os.fspath(write_dicom())]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.send_signal(number)
        parent.wait(timeout=10)
    left = time.monotonic() + 10
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < left:
        time.sleep(0.05)
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_the_parent_imports_no_dicom_library(write_dicom: WriteDicom) -> None:
    code = (
        "import sys; from pathlib import Path; from lsdc.dicom.reader import read_headers\n"
        "read_headers([Path(sys.argv[1])])\n"
        "print(sorted({'dicomsdl', 'pydicom'} & set(sys.modules)))"
    )
    command = [*PYTHON, code, os.fspath(write_dicom())]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert loaded == "[]\n"


def test_without_dicomsdl_pydicom_reads_alone_and_says_so(
    write_dicom: WriteDicom,
    cut_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "dicomsdl" else find(name)
    )
    good = write_dicom("good.dcm")
    outcomes = [outcome for _, outcome in read_pixels([good, cut_file, good])]
    assert [type(outcome) for outcome in outcomes] == [np.ndarray, Unreadable, np.ndarray]
    assert "pydicom reads alone" in caplog.text
