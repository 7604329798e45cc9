"""Child processes of the reader are replaced when they end, and none is left behind."""

import os
import signal
import subprocess
import time

import numpy as np
import psutil
import pytest

from lsdc.dicom import process
from lsdc.dicom.headers import Header
from lsdc.dicom.reader import read_pixels
from tests.dicom.conftest import WriteDicom
from tests.dicom.reading import PYTHON, children, copies, images_by_index, read_all


def test_killed_children_are_replaced_and_all_files_are_read(
    write_dicom: WriteDicom,
) -> None:
    paths = copies(write_dicom, 3000)
    killed = []

    def kill_one(read: int, _: int) -> None:
        if len(killed) < 3 and read < 3000:
            killed.append(children()[0])
            killed[-1].kill()

    headers = read_all(paths, on_progress=kill_one)
    assert [getattr(header, "instance_number", header) for header in headers] == list(range(3000))
    assert len(killed) == 3


def test_suspended_child_is_replaced(
    write_dicom: WriteDicom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_GRACE_SECONDS", 0.0)
    paths = copies(write_dicom, 3000)
    stopped = []

    def stop_one(*_: int) -> None:
        if not stopped:
            stopped.append(children()[0])
            stopped[0].suspend()

    headers = read_all(paths, on_progress=stop_one, file_seconds=3)
    assert all(isinstance(header, Header) for header in headers)
    assert not psutil.pid_exists(stopped[0].pid)


def test_no_files_start_no_children() -> None:
    assert read_all([]) == []
    assert list(read_pixels([])) == []


def test_pixels_are_read_only_a_few_files_ahead(
    write_dicom: WriteDicom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_GRACE_SECONDS", 0.0)
    paths = copies(write_dicom, 160)
    outcomes = images_by_index(paths, file_seconds=0.5)
    next(outcomes)
    time.sleep(1)  # a slow caller is not the children's fault
    for path in paths:
        path.unlink()
    read = [outcome for _, outcome in outcomes if isinstance(outcome, np.ndarray)]
    assert 0 < len(read) < 130


def test_reader_that_is_closed_early_leaves_no_child(write_dicom: WriteDicom) -> None:
    outcomes = images_by_index(copies(write_dicom, 40))
    next(outcomes)
    assert children()
    outcomes.close()  # type: ignore[attr-defined]
    assert not children()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_killed_parent_leaves_no_child(write_dicom: WriteDicom, number: int) -> None:
    code = (
        "import sys, psutil; from lsdc.dicom.reader import read_pixels\n"
        "for i, _ in enumerate(read_pixels([sys.argv[1]] * 100_000)):\n"
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


def test_parent_imports_no_dicom_library(write_dicom: WriteDicom) -> None:
    code = (
        "import sys; from lsdc.dicom.reader import read_headers\n"
        "read_headers(sys.argv[1:], print)\n"
        "print(sorted({'dicomsdl', 'pydicom'} & set(sys.modules)))"
    )
    command = [*PYTHON, code, os.fspath(write_dicom())]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.endswith("\n[]\n")
