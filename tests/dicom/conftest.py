"""Generated DICOM files, the files of the pydicom package, and faults in reading processes."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom.data
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage, RLELossless

WriteDicom = Callable[..., Path]


@pytest.fixture
def write_dicom(tmp_path: Path) -> WriteDicom:
    """Return a function that writes a small MR image: `write_dicom(name, pixels, Rows=24)`."""

    def write(
        name: str | bytes = "image.dcm",
        pixels: np.ndarray | None = None,
        *,
        syntax: str = "explicit",
        **tags: Any,
    ) -> Path:
        if pixels is None:
            pixels = np.arange(24 * 16, dtype=np.uint16).reshape(24, 16)
        path = tmp_path / os.fsdecode(name)
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        if syntax == "implicit":
            meta.TransferSyntaxUID = ImplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = MRImageStorage
        meta.MediaStorageSOPInstanceUID = "1.2.3"
        dataset = FileDataset(os.fspath(path), Dataset(), file_meta=meta, preamble=bytes(128))
        dataset.SOPClassUID = MRImageStorage
        dataset.SOPInstanceUID = "1.2.3"
        dataset.PatientName = "DOE^JOHN"
        dataset.PatientPosition = "HFS"
        dataset.InstanceNumber = 7
        dataset.ImagePositionPatient = [-10.5, 20.25, 30]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.PixelSpacing = [0.75, 0.5]
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.SamplesPerPixel = 1
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.BitsAllocated = 8 * pixels.dtype.itemsize
        dataset.BitsStored = dataset.BitsAllocated
        dataset.HighBit = dataset.BitsStored - 1
        dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
        dataset.PixelData = pixels.tobytes()
        dataset["PixelData"].VR = "OW"
        if syntax == "rle":
            dataset.compress(RLELossless, generate_instance_uid=False)
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)
        dataset.save_as(path)
        return path

    return write


@pytest.fixture(scope="session")
def pydicom_files() -> list[Path]:
    """Return the DICOM files in the pydicom package, some of them broken; download none."""
    folder = Path(pydicom.data.__file__).parent / "test_files"
    return sorted(folder.glob("*.dcm"))


@pytest.fixture(scope="session")
def real_files() -> list[Path]:
    """Return a few files of each series of a real study."""
    root = os.environ.get("LSDC_REAL_DATA")
    if not root:
        pytest.skip("LSDC_REAL_DATA is not set")
    folders = sorted(Path(root).glob("competition/train_images/*/*"))
    return [path for folder in folders for path in sorted(folder.glob("*.dcm"))[::7]]


class Inject:
    """Injects faults into the reading child processes, by code that Python runs at their start.

    The parent is unchanged: its answers come from real children.
    """

    def __init__(self, folder: Path) -> None:
        self._code = folder / "sitecustomize.py"
        self._code.write_text(_FAULTS, encoding="utf-8")

    def when_opened(self, path: Path, harm: str) -> None:
        """Run `harm` in the child before it opens the file."""
        self._add("open", path, harm)

    def when_read(self, path: Path, harm: str) -> None:
        """Run `harm` in the child before it reads the start of the file."""
        self._add("pread", path, harm)

    def when_streamed(self, path: Path, harm: str) -> None:
        """Run `harm` in the child before it opens the file as a stream."""
        self._add("stream", path, harm)

    def when_asked(self, path: Path, harm: str) -> None:
        """Run `harm` in the child before it reads the size and mtime of the file."""
        self._add("fstat", path, harm)

    def _add(self, call: str, path: Path, harm: str) -> None:
        function = f"def harm():\n    {harm}\nharms[{call!r}, {os.fsencode(path)!r}] = harm\n"
        with self._code.open("a", encoding="utf-8") as code:
            code.write(function)


_FAULTS = '''"""Runs in every Python process with this folder on its path; acts in readers."""
import builtins, errno, os, signal, struct, sys

harms = {}
paths = {}


def around(module, name, what):
    call = getattr(module, name)

    def checked(file, *rest, **options):
        path = paths.get(file) if isinstance(file, int) else file
        if harm := harms.get((what, path)):
            harm()
        result = call(file, *rest, **options)
        if what == "open":
            paths[result] = file
        return result

    setattr(module, name, checked)


def fail(number, times, state):
    """Raise the error `times` times in total over all children."""
    if first(times, state):
        raise OSError(number, os.strerror(number))


def append(path, times, state):
    """Append to the file `times` times in total over all children."""
    if first(times, state):
        with open(path, "ab") as file:
            file.write(b"x")


def first(times, state):
    with open(state, "ab+") as count:
        if count.tell() >= times:
            return False
        count.write(b"x")
    return True


def speak(head):
    """Send these bytes as the head of an answer, then exit."""
    out = next(fd for fd in range(20, 2, -1) if readable_pipe(fd))
    os.write(out, struct.pack("<IQ", len(head), 0) + head)
    os._exit(0)


def readable_pipe(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:")
    except OSError:
        return False


if "lsdc.dicom.child" in sys.orig_argv:
    for name in ("open", "pread", "fstat"):
        around(os, name, name)
    around(builtins, "open", "stream")
'''


@pytest.fixture
def inject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inject:
    """Return an injector of faults into the child processes of this test."""
    folder = tmp_path / "faults"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", os.fspath(folder), prepend=os.pathsep)
    return Inject(folder)
