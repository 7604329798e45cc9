"""Write studies without tables: other file names, other folders, other tags, further series."""

import csv
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileDataset

Edit = Callable[[FileDataset], None]

# All tags that tell a contrast, and the number of an image.
TELLING = ("EchoTime", "RepetitionTime", "ImageType", "SeriesDescription", "InstanceNumber")


def images_of(series: Path) -> list[Path]:
    """Return the files of a series, by their numbers."""
    return sorted(series.glob("*.dcm"), key=lambda path: int(path.stem))


def described(root: Path, split: str) -> dict[str, dict[str, str]]:
    """Return the kind of each series by study, from a competition's table."""
    found: dict[str, dict[str, str]] = {}
    with (root / f"{split}_series_descriptions.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["study_id"], {})[row["series_id"]] = row["series_description"]
    return found


def series_of(study: Path, kinds: dict[str, str], kind: str) -> Path:
    """Return the folder of the first series of a kind."""
    return next(study / series for series, own in kinds.items() if own == kind)


def scatter(study: Path, out: Path, *, bare: bool = False, seed: int = 0) -> None:
    """Copy a study's images under random names into random folders; `bare` removes `TELLING`."""
    names = random.Random(seed)
    for path in sorted(study.rglob("*.dcm")):
        target = out / f"d{names.randrange(3)}" / f"{names.getrandbits(40):010x}"
        target.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes()
        if bare and content[128:132] == b"DICM" and len(content) > 1000:
            try:
                dataset = pydicom.dcmread(path)
                for keyword in TELLING:
                    if keyword in dataset:
                        delattr(dataset, keyword)
                dataset.save_as(target)
            except (AttributeError, ValueError, EOFError):
                target.write_bytes(content)  # a planted fault
        else:
            target.write_bytes(content)


def add_series(series: Path, out: Path, number: int, edit: Edit, *, every: int = 1) -> None:
    """Write a further series of the same study: some images of a series, edited."""
    out.mkdir(parents=True, exist_ok=True)
    for path in images_of(series)[::every]:
        dataset = pydicom.dcmread(path)
        dataset.SeriesInstanceUID += f".{number}"
        dataset.SOPInstanceUID += f".{number}"
        if dataset.file_meta.TransferSyntaxUID.is_compressed:
            dataset.decompress()
        edit(dataset)
        dataset.save_as(out / f"{path.stem}-{number}")


def halve(dataset: FileDataset) -> None:
    """Halve the resolution of an image."""
    small = dataset.pixel_array[::2, ::2]
    dataset.Rows, dataset.Columns = small.shape
    dataset.PixelSpacing = [2 * float(value) for value in dataset.PixelSpacing]
    dataset.PixelData = small.tobytes()


def colour(dataset: FileDataset) -> None:
    """Turn an image into a colour capture."""
    grey = (dataset.pixel_array >> 4).astype(np.uint8)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "RGB"
    dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelData = np.stack([grey] * 3, axis=-1).tobytes()


def turn(dataset: FileDataset) -> None:
    """Turn a sagittal image into a coronal one."""
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    x, y, z = dataset.ImagePositionPatient
    dataset.ImagePositionPatient = [y, x, z]


def with_tags(**tags: object) -> Edit:
    """Return an edit that sets tags."""

    def edit(dataset: FileDataset) -> None:
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)

    return edit


def write_wrong_files(folder: Path, image: Path) -> int:
    """Write files of wrong types and broken images; return the number that are broken images."""
    folder.mkdir(parents=True)
    whole = image.read_bytes()
    (folder / "cut.dcm").write_bytes(whole[: len(whole) * 6 // 10])
    (folder / "empty.dcm").write_bytes(b"")
    (folder / "text.dcm").write_text("no image\n" * 50)
    (folder / "zeros").write_bytes(bytes(4000))
    (folder / "notes.txt").write_text("no image")
    return 3
