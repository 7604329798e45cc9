"""How fast is the index, compared with pydicom, GDCM and the bare disk?

    python benchmarks/index.py [--full] [--files 12000] [--json] [--folder DIR]

On one generated tree, in one run, this measures the whole index (from listing the folders to rows
in DuckDB, two reading processes), a loop over pydicom's `dcmread(stop_before_pixels=True)` that
reads the values that the index keeps, GDCM's scanner (if `python-gdcm` is installed), and the
lower bound: to open every file and read 4 KB. pydicom converts a value when it is accessed, so a
loop that accesses none is measured as well (`ratio_to_pydicom_unasked`). Ratios are of rates: above
one means that the index is faster. Each figure is measured in a separate process, with the files in
the page cache; medians over rounds.

The default is 12,000 (`--files`) and ten times as many files; `--full` adds fifty times as many and
writes RESULTS.md. pydicom, whose loop costs the same for every file, reads 6,000 files of a tree,
and its time is scaled. The files are small (64 x 64 pixels), as no reader decodes pixels here.
Decoding is measured on images of 384 x 384.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from memory import peak_memory
from results import record

SMALL = 12_000
LARGE, HUGE = 10, 50  # times as many
ROUNDS = 2
READ_BY_PYDICOM = 6_000
# Series of a study: orientation, number of slices, and number of stacks.
SERIES = (("T1", 20, 1), ("T2", 20, 1), ("axial", 35, 5))
STUDY_FILES = sum(count for _, count, _ in SERIES)
DECODED = {"native": 20_000, "rle": 4_000}


def main() -> None:
    """Write the tree, measure all figures and print them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--files", type=int, default=SMALL, help="a multiple of 75")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--folder", type=Path, help="folder for the tree [a temporary one]")
    parser.add_argument("--measure", nargs=2, metavar=("WHAT", "TREE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(MEASURES[options.measure[0]](Path(options.measure[1]))))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        figures = take(Path(folder), options.files, full=options.full)
    if options.full:
        record("Index", "python benchmarks/index.py --full", figures)
    if options.json:
        print(json.dumps(figures, indent=2))
    else:
        for name, value in figures.items():
            print(f"{name:32} {value}")


def take(folder: Path, small: int, *, full: bool) -> dict[str, Any]:
    """Return all figures by name; times in seconds."""
    figures: dict[str, Any] = {}
    seconds: dict[int, dict[str, float]] = {}
    large, huge = LARGE * small, HUGE * small
    for size in (small, large, huge) if full else (small, large):
        tree = folder / str(size)
        write_tree(tree, size)
        readers = ["floor", "index"]
        readers += ["pydicom", "pydicom_unasked", "gdcm"] if size == small else ["memory"]
        readers += ["pydicom"] if size == large else []
        rounds = ROUNDS if size == small else 1
        taken = [measure_all(readers, tree) for _ in range(rounds)]
        seconds[size] = {name: statistics.median(each[name] for each in taken) for name in taken[0]}
        if size < huge:
            shutil.rmtree(tree)
        figures |= {f"{name}_{size}": round(value, 3) for name, value in seconds[size].items()}
    figures |= compare(seconds, small)
    figures |= compare_decoding(folder / "images")
    return figures


def compare(seconds: dict[int, dict[str, float]], files: int) -> dict[str, float]:
    """Return the ratios, from seconds by size and name."""
    small, large = seconds[files], seconds[LARGE * files]

    def marginal(name: str) -> float:
        return (large[name] - small[name]) / ((LARGE - 1) * files)

    ratios = {
        "ratio_to_pydicom": small["pydicom"] / small["index"],
        "marginal_ratio_to_pydicom": marginal("pydicom") / marginal("index"),
        "ratio_to_pydicom_unasked": small["pydicom_unasked"] / small["index"],
        "ratio_to_floor": marginal("floor") / marginal("index"),
        "reindex_to_stat": large["reindex"] / large["stat"],
        "small_reindex_to_stat": small["reindex"] / small["stat"],
        "files_per_second": 1 / marginal("index"),
        "peak_mib": max(each.get("peak_mib", 0) for each in seconds.values()),
    }
    if "gdcm" in small:
        ratios["ratio_to_gdcm"] = small["gdcm"] / small["index"]
    if huge := seconds.get(HUGE * files):
        last = (huge["index"] - large["index"]) / ((HUGE - LARGE) * files)
        ratios["cost_a_file_huge_to_large"] = last / marginal("index")
    return {name: round(value, 3) for name, value in ratios.items()}


def measure_all(names: list[str], tree: Path) -> dict[str, float]:
    """Return seconds by name, each measured in a separate process."""
    figures: dict[str, float] = {}
    for name in names:
        command = [sys.executable, __file__, "--measure", name, str(tree)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        figures |= json.loads(done.stdout)
    return figures


def time_index(tree: Path) -> dict[str, float]:
    """Measure the whole index, a second one without changes, and a walk with one stat per file."""
    from lsdc.challenges.lumbar.catalog_tables import CATALOG
    from lsdc.dicom_index.folder_index import catalog_tree
    from lsdc.store.home import open_home

    with tempfile.TemporaryDirectory() as folder:
        home = open_home(Path(folder))
        index = seconds_of(lambda: catalog_tree(tree, home, CATALOG))
        reindex = statistics.median(
            seconds_of(lambda: catalog_tree(tree, home, CATALOG)) for _ in range(ROUNDS)
        )
    stat = statistics.median(
        seconds_of(lambda: sum(entry.stat().st_size for entry in walk(tree))) for _ in range(ROUNDS)
    )
    return {"index": index, "reindex": reindex, "stat": stat}


def weigh_index(tree: Path) -> dict[str, float]:
    """Measure the peak memory of an index, in a separate run, as polling slows it down."""
    from lsdc.challenges.lumbar.catalog_tables import CATALOG
    from lsdc.dicom_index.folder_index import catalog_tree
    from lsdc.store.home import open_home

    with tempfile.TemporaryDirectory() as folder, peak_memory() as peak:
        catalog_tree(tree, open_home(Path(folder)), CATALOG)
    return {"peak_mib": peak[0]}


def time_floor(tree: Path) -> dict[str, float]:
    """Open every file and read 4 KB."""

    def read_all() -> None:
        for entry in walk(tree):
            descriptor = os.open(entry.path, os.O_RDONLY)
            os.read(descriptor, 4096)
            os.close(descriptor)

    return {"floor": seconds_of(read_all)}


def time_pydicom(tree: Path) -> dict[str, float]:
    """Measure a plain pydicom loop over the values that the index reads."""
    from lsdc.dicom.headers import ALLOWED

    return {"pydicom": seconds_of_pydicom(tree, ALLOWED)}


def time_pydicom_unasked(tree: Path) -> dict[str, float]:
    """Measure the loop without access to values, which pydicom then leaves as bytes."""
    return {"pydicom_unasked": seconds_of_pydicom(tree, ())}


def seconds_of_pydicom(tree: Path, keywords: Sequence[str]) -> float:
    """Return pydicom's time for all files, extrapolated from some of them."""
    import pydicom

    def loop(paths: list[str]) -> None:
        for path in paths:
            dataset = pydicom.dcmread(path, stop_before_pixels=True)
            for keyword in keywords:
                dataset.get(keyword)

    paths = [entry.path for entry in walk(tree)]
    # Spread over the tree, as neighbours share cached folders.
    some = paths[:: max(1, len(paths) // READ_BY_PYDICOM)]
    return seconds_of(lambda: loop(some)) * len(paths) / len(some)


def time_gdcm(tree: Path) -> dict[str, float]:
    """Measure GDCM's scanner over the tags that the index reads."""
    try:
        import gdcm
    except ImportError:
        return {}
    from pydicom.datadict import tag_for_keyword

    from lsdc.dicom.headers import ALLOWED

    scanner = gdcm.Scanner()
    for tag in filter(None, map(tag_for_keyword, ALLOWED)):
        scanner.AddTag(gdcm.Tag(tag >> 16, tag & 0xFFFF))
    return {"gdcm": seconds_of(lambda: scanner.Scan([entry.path for entry in walk(tree)]))}


MEASURES: dict[str, Callable[[Path], dict[str, float]]] = {
    "index": time_index,
    "memory": weigh_index,
    "floor": time_floor,
    "pydicom": time_pydicom,
    "pydicom_unasked": time_pydicom_unasked,
    "gdcm": time_gdcm,
}


def compare_decoding(folder: Path) -> dict[str, float]:
    """Return the rates of the supervised reader divided by those of dicomsdl in one process."""
    import dicomsdl

    from lsdc.dicom.names import escape_name
    from lsdc.dicom.reader import read_pixels

    ratios = {}
    for encoding, count in DECODED.items():
        paths = write_images(folder / encoding, rle=encoding == "rle")
        paths = (paths * (count // len(paths) + 1))[:count]
        names = [escape_name(path) for path in paths]

        def bare(paths: list[str] = paths) -> None:
            for path in paths:
                dicomsdl.open(path).pixelData(storedvalue=True)

        def supervised(names: list[str] = names) -> None:
            for _ in read_pixels(names):
                pass

        pairs = [(seconds_of(bare), seconds_of(supervised)) for _ in range(ROUNDS)]
        ratio = statistics.median(alone / ours for alone, ours in pairs)
        ratios[f"decode_{encoding}_ratio_to_bare"] = round(ratio, 3)
        rate = count / statistics.median(ours for _, ours in pairs)
        ratios[f"decode_{encoding}_per_second"] = round(rate)
    return ratios


def write_tree(root: Path, files: int) -> None:
    """Write studies of three series in the competition's layout, with different headers."""
    written = 0
    for study in range(1, files // STUDY_FILES + 1):
        for series, (name, count, stacks) in enumerate(SERIES):
            template = header_template(name, study, series)
            folder = root / "train_images" / str(study) / str(study * 10 + series)
            folder.mkdir(parents=True)
            for number in range(1, count + 1):
                stack = (number - 1) * stacks // count
                content = template.replace(b"@NUM", f"{number:04d}".encode())
                content = content.replace(b"@" * 29, place(name, number, stack))
                content = content.replace(b"#" * 53, turn(name, stack))
                (folder / f"{number}.dcm").write_bytes(content)
                written += 1
    assert written == files, f"{files} files, expected a multiple of {STUDY_FILES}"


def header_template(name: str, study: int, series: int) -> bytes:
    """Return a whole file of a series, with marks where slices differ."""
    from pydicom import config
    from pydicom.datadict import dictionary_VR
    from pydicom.dataelem import RawDataElement
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.tag import Tag
    from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

    uid = f"2.25.{10**19 + study}"
    # About the marks, which are replaced in every file.
    config.settings.reading_validation_mode = config.IGNORE
    config.settings.writing_validation_mode = config.IGNORE
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"{uid}.{series}.1")
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "SE"]
    dataset.SOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = f"{uid}.{series}.1"
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = "20240101"
    dataset.Modality, dataset.Manufacturer = "MR", "Benchmark"
    dataset.SeriesDescription = name
    dataset.PatientID = str(study)
    dataset.ScanningSequence, dataset.MRAcquisitionType = "SE", "2D"
    dataset.SliceThickness, dataset.SpacingBetweenSlices = "4", "4.4"
    dataset.RepetitionTime, dataset.EchoTime, dataset.FlipAngle = "3500", "100", "90"
    dataset.PatientPosition = "HFS"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid, f"{uid}.{series}"
    dataset.FrameOfReferenceUID = f"{uid}.9"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows = dataset.Columns = 64
    dataset.PixelSpacing = ["0.68359375", "0.68359375"]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.WindowCenter, dataset.WindowWidth = "400", "800"
    dataset.PixelData = bytes(2 * 64 * 64)
    for keyword, mark in {
        "InstanceNumber": b"@NUM",
        "ImagePositionPatient": b"@" * 29 + b" ",
        "ImageOrientationPatient": b"#" * 53 + b" ",
    }.items():
        tag, vr = Tag(keyword), dictionary_VR(keyword)
        dataset[tag] = RawDataElement(tag, vr, len(mark), mark, 0, False, True, True)
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def place(name: str, number: int, stack: int) -> bytes:
    """Return ImagePositionPatient in 29 characters."""
    across = -44.0 + 4.4 * number
    x, y, z = (across, -100.0, 100.0) if name != "axial" else (-90.0, -90.0, across - 20 * stack)
    return f"{x:09.3f}\\{y:09.3f}\\{z:09.3f}".encode()


def turn(name: str, stack: int) -> bytes:
    """Return ImageOrientationPatient in 53 characters; each axial stack has another tilt."""
    if name != "axial":
        values = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
    else:
        tilt = np.radians(5.0 * stack)
        values = (1.0, 0.0, 0.0, 0.0, float(np.cos(tilt)), float(np.sin(tilt)))
    return "\\".join(f"{value:08.5f}" for value in values).encode()


def write_images(folder: Path, *, rle: bool) -> list[str]:
    """Write forty images of 384 x 384 pixels, 12 bits stored."""
    import pydicom
    from pydicom.uid import RLELossless

    folder.mkdir(parents=True)
    template = header_template("T2", 1, 1)
    template = template.replace(b"@NUM", b"0001").replace(b"@" * 29, place("T2", 1, 0))
    dataset = pydicom.dcmread(BytesIO(template.replace(b"#" * 53, turn("T2", 0))))
    dataset.Rows = dataset.Columns = 384
    rng = np.random.default_rng(0)
    paths = []
    smooth = np.linspace(0, 3000, 384 * 384).reshape(384, 384)
    for number in range(40):
        pixels = (smooth + rng.integers(0, 200, smooth.shape)).astype(np.uint16)
        dataset.PixelData = pixels.tobytes()
        if rle:
            dataset.compress(RLELossless, pixels, generate_instance_uid=False)
        path = folder / f"{number}.dcm"
        dataset.save_as(path)
        paths.append(str(path))
    return paths


def walk(root: Path | str) -> "Iterator[os.DirEntry[str]]":
    """Yield every file below a folder."""
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from walk(entry.path)
            else:
                yield entry


def seconds_of(work: Callable[[], object]) -> float:
    """Return the seconds of a call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
