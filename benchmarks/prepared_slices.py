"""Figures of preparing and reading slices of head CT; benchmarks/hemorrhage.py explains them."""

import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from costs import cost_of

from lsdc.challenges.hemorrhage.config.slices import SlicesConfig

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/ is not an installed package

# More than a processor's cache holds: files of a large data set are in none.
FILES, STUDY = 160, 32
STARTED = 96  # enough files for both readers to start
WHOLE_COMPETITION = 674_000
SIZES = (256, 512)
WINDOWS = ((40.0, 80.0), (80.0, 200.0), (200.0, 450.0))
# Wall and CPU time in seconds.
Costs = dict[str, tuple[float, float]]


def take_slice_figures(
    folder: Path, data: Path | None, slices: int, rounds: int
) -> dict[str, float]:
    """Return the figures by name.

    Args:
        folder: an empty folder for all files.
        data: the folder of DICOM slices; None writes some.
        slices: the slices of a round.
        rounds: the rounds, of which figures are medians.
    """
    files = sorted(data.rglob("*.dcm")) if data else write_files(folder / "dicom")
    images = list_slices(files, slices)
    measured = [measure(images, files, folder) for _ in range(rounds)]

    def ratio(one: str, other: str) -> dict[str, float]:
        """Return the median ratio of CPU time, and of wall time."""
        wall, cpu = (
            float(np.median([costs[one][kind] / costs[other][kind] for costs in measured]))
            for kind in (0, 1)
        )
        return {f"{one}_to_{other}": cpu, f"{one}_to_{other}_wall": wall}

    figures: dict[str, float] = {"slices": slices}
    for size in SIZES:
        ours, floor = f"prepare_{size}", f"floor_{size}"
        figures |= ratio("notes", ours)
        for one, other in ((ours, "decode"), (ours, floor), (floor, "decode")):
            figures |= ratio(one, other)
            figures[f"{one}_to_{other}_each"] = float(
                np.median([each(costs, one, 1) / each(costs, other, 1) for costs in measured])
            )
        figures |= ratio(ours, "one")
        figures |= ratio("png", f"map_{size}")
    for name in ("notes", "decode", *(f"prepare_{size}" for size in SIZES)):
        cpu = float(np.median([costs[name][1] for costs in measured]))
        figures[f"{name}_cpu_ms"] = 1000 * cpu / slices
    for size in SIZES:
        wall = np.median([each(costs, f"prepare_{size}", 0) for costs in measured])
        wall /= slices - min(slices, STARTED)
        bytes_ = (folder / str(size) / "slices.npy").stat().st_size / slices
        figures |= {
            f"minutes_{WHOLE_COMPETITION}_{size}": float(wall) * WHOLE_COMPETITION / 60,
            f"gb_{WHOLE_COMPETITION}_{size}": bytes_ * WHOLE_COMPETITION / 1e9,
            f"bytes_a_pixel_and_channel_{size}": bytes_ / size**2 / len(WINDOWS),
        }
    return {name: round(value, 3) for name, value in figures.items()}


def each(costs: Costs, name: str, kind: int) -> float:
    """Return the wall time (0) or CPU time (1) without that of the first few slices."""
    return costs[name][kind] - costs[f"{name}_few"][kind]


def measure(images: pl.DataFrame, files: list[Path], folder: Path) -> Costs:
    """Return wall and CPU time in seconds of each way, for all images and for a few."""
    few, factor = images[:STARTED], len(images) / len(files)
    ways = {"decode": decode_supervised}
    for size in SIZES:
        ways[f"floor_{size}"] = partial(decode_and_write, size, folder)
        ways[f"prepare_{size}"] = partial(prepare, size, folder)
    png = folder / "png"
    png.mkdir(exist_ok=True)
    costs = {"notes": scaled(partial(write_png, files, png), factor)}
    for name, way in ways.items():
        costs[f"{name}_few"] = cost_of(partial(way, few))
        costs[name] = cost_of(partial(way, images))
    costs["one"] = cost_of(partial(decode, images))
    for size in SIZES:
        read_map(size, folder)  # into the page cache, past which the file was written
        costs[f"map_{size}"] = cost_of(partial(read_map, size, folder))
    costs["png"] = scaled(partial(read_png, png), factor)
    return costs


def scaled(work: Callable[[], object], factor: float) -> tuple[float, float]:
    """Return the cost of a call for each file once, for as many files as are listed."""
    wall, cpu = cost_of(work)
    return wall * factor, cpu * factor


def prepare(size: int, folder: Path, images: pl.DataFrame) -> None:
    """Prepare all slices at a size."""
    from lsdc.challenges.hemorrhage.slices.prepare import prepare_shard

    out = folder / str(size)
    out.mkdir(exist_ok=True)
    prepare_shard(images, SlicesConfig(windows=WINDOWS, size_px=size), out, processes=2)


def decode_supervised(images: pl.DataFrame) -> None:
    """Decode all files with the supervised reader, which survives bad files."""
    from lsdc.dicom.reader import read_pixels

    for _ in read_pixels(images["path"].to_list(), processes=2):
        pass


def decode_and_write(size: int, folder: Path, images: pl.DataFrame) -> None:
    """Decode all files with the supervised reader, and write as many bytes as their slices have."""
    from lsdc.dicom.reader import read_pixels
    from lsdc.store.npy_file import append_samples

    sample = np.random.default_rng(0).integers(0, 255, (len(WINDOWS), size, size), np.uint8)
    with append_samples(folder / "floor.npy", len(images), sample.shape, np.uint8) as append:
        for _ in read_pixels(images["path"].to_list(), processes=2):
            append(sample)


def decode(images: pl.DataFrame) -> None:
    """Decode all files with dicomsdl in this process."""
    import dicomsdl

    for path in images["path"]:
        dicomsdl.open(path).pixelData(storedvalue=True)


def write_png(files: list[Path], folder: Path) -> None:
    """Write a PNG of each file, as the published experiments do."""
    import pydicom
    from PIL import Image

    for number, file in enumerate(files):
        dataset = pydicom.dcmread(file)
        hu = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
        channels = []
        for centre, width in WINDOWS:
            channel = np.clip(hu, centre - width // 2, centre + width // 2)
            span = max(channel.max() - channel.min(), 1)  # a channel of one value
            channels.append(((channel - channel.min()) / span * 255).astype(np.uint8))
        Image.fromarray(np.stack(channels, axis=-1)).save(folder / f"{number}.png")


def read_png(folder: Path) -> None:
    """Read all PNG files back, in random order."""
    from PIL import Image

    files = sorted(folder.glob("*.png"))
    for number in np.random.default_rng(0).permutation(len(files)):
        with Image.open(files[number]) as image:
            np.array(image)


def read_map(size: int, folder: Path) -> None:
    """Read all prepared slices, in random order."""
    slices = np.load(folder / str(size) / "slices.npy", mmap_mode="r")
    for row in np.random.default_rng(0).permutation(len(slices)):
        np.array(slices[row])


def list_slices(files: list[Path], slices: int) -> pl.DataFrame:
    """Return an images table of so many slices, which repeat the files."""
    from tests.challenges.hemorrhage.slices.made_slices import list_images

    names = [str(files[number % len(files)]) for number in range(slices)]
    return list_images(
        [
            {
                "path": name,
                "image_id": f"ID_{number:09x}",
                "study_id": f"ID_{number // STUDY:08x}",
                "order": number % STUDY,
            }
            for number, name in enumerate(names)
        ]
    )


def write_files(folder: Path) -> list[Path]:
    """Write slices of a round head with a skull, half of them as 16 bits, half as 12."""
    from tests.challenges.hemorrhage.slices.made_slices import write_slice

    folder.mkdir()
    random = np.random.default_rng(0)
    y, x = np.mgrid[-1:1:512j, -1:1:512j]
    paths = []
    for number in range(FILES):
        size = 0.45 + 0.3 * math.sin(math.pi * (number + 1) / (FILES + 1))
        distance = np.hypot(x / size, y / size / 1.15)
        hu = np.select([distance < 0.86, distance < 1, distance < 1.06], [28, 950, -80], -1000)
        for _ in range(8):  # ventricles, blood, calcium
            centre, width = random.uniform(-0.5, 0.5, 2) * size, random.uniform(0.02, 0.15)
            blob = (np.hypot(x - centre[0], y - centre[1]) < width * size) & (distance < 0.86)
            hu = np.where(blob, random.choice([5, 12, 65, 140]), hu)
        noisy = np.clip(np.rint(hu + random.normal(0, 4, hu.shape)), -1024, 3071)
        stored = noisy.astype(np.int16) + 1024
        path = folder / f"{number}.dcm"
        if number % 2:
            paths.append(write_slice(path, stored.astype(np.uint16), bits=12))
        else:
            stored[np.hypot(x, y) > 1] = -2000
            paths.append(write_slice(path, stored))
    return paths
