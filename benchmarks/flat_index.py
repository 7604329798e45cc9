"""What does the index of a flat folder cost a file, and how much memory does it take?

    python benchmarks/flat_index.py [--full] [--files 20000] [--json] [--folder DIR]

Writes folders of small files of head CT, with the elements and the random names of the haemorrhage
competition, so that neighbours in a folder are of different studies. Measures the whole index, from
the list of files to the tables of images, series and studies, with two reading processes: of a
fifth of the files and of all of them (`--files`), and again with cached headers. `flat` is the
cost of a further file relative to the first ones: about 1 if time is proportional to the number of
files. `of_all` projects the time for the competition's 752,803 training images. pydicom reads a
tenth of the files, and its time is scaled. `--full` measures ten times as many files and writes
RESULTS.md. Every figure is taken in a separate process, with the files in the page cache.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import Any

from costs import cost_of
from memory import peak_memory
from results import record

FILES, FULL = 20_000, 10
SMALL_SHARE, PYDICOM_SHARE = 5, 10
COMPETITION = 752_803
SLICES = 34
MARKS = {
    "SOPInstanceUID": b"@" * 12,
    "PatientID": b"#" * 11 + b" ",
    "StudyInstanceUID": b"$" * 13 + b" ",
    "SeriesInstanceUID": b"%" * 13 + b" ",
    "ImagePositionPatient": b"&" * 22,
}


def main() -> None:
    """Write the folders, measure all figures and print them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--folder", type=Path, help="folder for the files [a temporary one]")
    parser.add_argument("--measure", nargs=2, metavar=("WHAT", "DIR"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(MEASURES[options.measure[0]](Path(options.measure[1]))))
        return
    files = options.files * (FULL if options.full else 1)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        figures = take(Path(folder), files)
    if options.full:
        record("Index of a flat folder", "python benchmarks/flat_index.py --full", figures)
    if options.json:
        print(json.dumps(figures, indent=2))
    else:
        for name, value in figures.items():
            print(f"{name:24} {value}")


def take(folder: Path, files: int) -> dict[str, Any]:
    """Return all figures by name; times in seconds."""
    sizes = {"small": files // SMALL_SHARE, "large": files}
    found: dict[str, float] = {}
    for size, count in sizes.items():
        write_files(folder / size, count)
        for what in ("index", "memory", "pydicom"):
            command = [sys.executable, __file__, "--measure", what, str(folder / size)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            measured = json.loads(done.stdout)
            found |= {f"{name}_{size}": value for name, value in measured.items()}
    small, large = sizes.values()

    def further(name: str) -> float:
        return (found[f"{name}_large"] - found[f"{name}_small"]) / (large - small)

    figures = dict(found)
    figures["us_a_file"] = 1e6 * further("index")
    figures["flat"] = further("index") / (found["index_small"] / small)
    figures["ratio_to_pydicom"] = found["pydicom_large"] / found["index_large"]
    figures["reindex_to_index"] = found["reindex_large"] / found["index_large"]
    figures["cpu_us_a_file"] = 1e6 * further("index_cpu")
    figures["of_all"] = found["index_large"] + further("index") * (COMPETITION - large)
    return {name: round(value, 3) for name, value in figures.items()}


def time_index(root: Path) -> dict[str, float]:
    """Measure an index, its CPU time, and a second one with cached headers."""
    from lsdc.challenges.hemorrhage.index.build import build_index

    with tempfile.TemporaryDirectory() as scratch:
        headers, outs = Path(scratch) / "headers", [Path(scratch) / name for name in ("a", "b")]
        for out in outs:
            out.mkdir()
        first, cpu = cost_of(lambda: require_all(build_index(root, outs[0], headers=headers), root))
        again, _ = cost_of(lambda: build_index(root, outs[1], headers=headers))
    return {"index": first, "index_cpu": cpu, "reindex": again}


def require_all(images: int, root: Path) -> None:
    """Require that every file has become an image."""
    expected = sum(1 for _ in root.glob("*/*.dcm"))
    assert images == expected, f"{images} images, expected {expected}"


def weigh_index(root: Path) -> dict[str, float]:
    """Measure the peak memory of an index, in a separate run, as polling slows it down."""
    from lsdc.challenges.hemorrhage.index.build import build_index

    with tempfile.TemporaryDirectory() as scratch, peak_memory() as peak:
        build_index(root, Path(scratch))
    return {"mib": peak[0]}


def time_pydicom(root: Path) -> dict[str, float]:
    """Measure a plain pydicom loop over the values that the index reads, scaled to all files."""
    import warnings

    import pydicom

    from lsdc.dicom.headers import ALLOWED

    warnings.simplefilter("ignore")
    paths = sorted(root.glob("*/*.dcm"))
    some = paths[::PYDICOM_SHARE]

    def loop() -> None:
        for path in some:
            dataset = pydicom.dcmread(path, stop_before_pixels=True)
            for keyword in ALLOWED:
                dataset.get(keyword)

    return {"pydicom": cost_of(loop)[0] * len(paths) / len(some)}


MEASURES: dict[str, Callable[[Path], dict[str, float]]] = {
    "index": time_index,
    "memory": weigh_index,
    "pydicom": time_pydicom,
}


def write_files(root: Path, count: int) -> None:
    """Write images of studies of 34 slices to one folder, in random order of their names."""
    folder = root / "stage_2_train_images"
    folder.mkdir(parents=True)
    template = whole_file()
    for number in range(count):
        study, place = divmod(number, SLICES)
        image = made_up(number, 9)
        values = {
            "SOPInstanceUID": image,
            "PatientID": made_up(f"patient {study}", 8),
            "StudyInstanceUID": made_up(f"study {study}", 10),
            "SeriesInstanceUID": made_up(f"series {study}", 10),
            "ImagePositionPatient": f"-125\\-115.5\\{5 * place:010.4f}",
        }
        content = template
        for keyword, mark in MARKS.items():
            content = content.replace(mark.strip(), values[keyword].encode())
        (folder / f"{image}.dcm").write_bytes(content)


def made_up(name: object, digits: int) -> str:
    """Return an id as in the competition."""
    return f"ID_{blake2b(str(name).encode(), digest_size=8).hexdigest()[:digits]}"


def whole_file() -> bytes:
    """Return a file with the competition's elements and marks for what differs."""
    from pydicom import config
    from pydicom.datadict import dictionary_VR
    from pydicom.dataelem import RawDataElement
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.tag import Tag
    from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

    # About the marks, which are replaced in every file.
    config.settings.reading_validation_mode = config.IGNORE
    config.settings.writing_validation_mode = config.IGNORE
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = UID("9999.1")
    dataset.Modality, dataset.StudyID = "CT", ""
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "0.970295726", "-0.241921896"]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows = dataset.Columns = 16
    dataset.PixelSpacing = ["0.488281", "0.488281"]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.WindowCenter, dataset.WindowWidth = ["36", "36"], ["80", "80"]
    dataset.RescaleIntercept, dataset.RescaleSlope = "-1024", "1"
    dataset.PixelData = bytes(2 * 16 * 16)
    for keyword, mark in MARKS.items():
        tag = Tag(keyword)
        dataset[tag] = RawDataElement(
            tag, dictionary_VR(keyword), len(mark), mark, 0, False, True, True
        )
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


if __name__ == "__main__":
    main()
