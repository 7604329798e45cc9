"""How fast is the crops stage, compared with a plain loop and with decoding alone?

    python benchmarks/crop_stage.py [--json] [--folder DIR] [--studies 120] [--max-size 512]

A phantom's files are written as native and as RLE. On the same files, in one run, this measures the
whole crops stage (choose, decode, resample, scale, write; two reading processes), a plain loop over
pydicom and OpenCV that does the same work, and decoding alone: by dicomsdl in one process, and by
the supervised reader. The ratios are of wall time, and of CPU time, which other work on the machine
disturbs less; a `loop_to_stage` above one means that the stage is faster than the loop. All files
are in the page cache. A few patients are repeated to simulate many studies.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from costs import cost_of
from memory import peak_memory

from lsdc.challenges.lumbar.config.crops import CropsConfig
from lsdc.challenges.lumbar.config.experiment import SlicesConfig

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/ is not an installed package

PATIENTS, ROUNDS = 6, 3
LOOP_SHARE = 5  # the slow loop gets one study in so many; its time is proportional
WHOLE_COMPETITION = 1_975
FILE = ["study_id", "series_id", "instance_number"]
CHOICE, CROPS = SlicesConfig(), CropsConfig()


def main() -> None:
    """Write the phantom, measure all figures and print them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--folder", type=Path, help="folder for the phantom [a temporary one]")
    parser.add_argument("--studies", type=int, default=120, help="a multiple of 30")
    parser.add_argument(
        "--max-size", type=int, default=512, help="longest edge of the phantom's images in pixels"
    )
    parser.add_argument("--weigh", nargs=2, metavar=("TABLES", "STUDIES"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.weigh:
        print(json.dumps(weigh(Path(options.weigh[0]), int(options.weigh[1]))))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        figures: dict[str, Any] = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": f"{os.cpu_count()} cores, Python {sys.version.split()[0]}",
        }
        figures |= take_crop_figures(
            Path(folder), studies=options.studies, max_size=options.max_size
        )
    if options.json:
        print(json.dumps(figures, indent=2))
    else:
        for name, value in figures.items():
            print(f"{name:36} {value}")


def take_crop_figures(folder: Path, *, studies: int = 120, max_size: int = 512) -> dict[str, float]:
    """Return all figures by name; `folder` has to be empty, `studies` a multiple of 30."""
    index_phantom(folder, max_size)
    figures: dict[str, float] = {}
    for encoding in ("native", "rle"):
        tables = write_files_as(encoding, folder)
        figures |= compare(encoding, *read_tables(tables, studies), studies, tables)
        figures |= project(encoding, tables, studies)
    return {name: round(value, 3) for name, value in figures.items()}


def compare(
    encoding: str, instances: pl.DataFrame, slices: pl.DataFrame, studies: int, folder: Path
) -> dict[str, float]:
    """Compare the stage with the loop and with decoding."""
    chosen = choose(instances, slices)
    paths = chosen.unique(["study_id", "path"], maintain_order=True)["path"].to_list()
    ours, other = folder / "stage", folder / "loop"
    works: dict[str, Callable[[], object]] = {
        "stage": lambda: stage(instances, slices, ours),
        "bare": lambda: decode(paths),
        "reader": lambda: decode_supervised(paths),
    }
    rounds = [{name: cost_of(work) for name, work in works.items()} for _ in range(ROUNDS)]
    cost = {name: np.median([each[name] for each in rounds], axis=0) for name in works}
    some = read_tables(folder, studies // LOOP_SHARE)
    cost["loop"] = np.array(cost_of(lambda: loop(*some, other))) * LOOP_SHARE
    check_same(ours, other)
    figures: dict[str, float] = {}
    for number, kind in enumerate(("", "_cpu")):
        seconds = {name: each[number] for name, each in cost.items()}
        figures |= {
            f"crops_{encoding}_loop_to_stage{kind}": seconds["loop"] / seconds["stage"],
            f"crops_{encoding}_stage_to_bare{kind}": seconds["stage"] / seconds["bare"],
            f"crops_{encoding}_stage_to_reader{kind}": seconds["stage"] / seconds["reader"],
            f"crops_{encoding}_ms_a_study{kind}": 1000 * seconds["stage"] / studies,
        }
    return figures | {f"crops_{encoding}_files_a_study": len(paths) / studies}


def project(encoding: str, tables: Path, studies: int) -> dict[str, float]:
    """Return memory at `studies` and at twice as many, and the time for the whole competition."""
    once, twice = (weigh_apart(tables, count) for count in (studies, 2 * studies))
    whole = WHOLE_COMPETITION * twice["seconds"] / (2 * studies)
    return {
        f"crops_{encoding}_peak_mib": once["peak_mib"],
        f"crops_{encoding}_peak_mib_twice": twice["peak_mib"],
        f"crops_{encoding}_minutes_{WHOLE_COMPETITION}": whole / 60,
    }


def stage(instances: pl.DataFrame, slices: pl.DataFrame, out: Path) -> None:
    """Run the crops stage."""
    from tests.challenges.lumbar.crops.cutting import cut_crops

    cut_crops(instances, slices, CHOICE, CROPS, out, processes=2)


def loop(instances: pl.DataFrame, slices: pl.DataFrame, out: Path) -> None:
    """Do the same work with pydicom, NumPy and OpenCV, one study after the other."""
    import cv2
    import pydicom

    chosen = choose(instances, slices)
    levels = chosen.select("study_id", "level").unique(maintain_order=True).rows()
    row_of = {key: row for row, key in enumerate(levels)}
    out.mkdir(parents=True, exist_ok=True)
    size, _ = CROPS.shape
    crops = np.lib.format.open_memmap(
        out / "crops.npy", "w+", np.uint8, (len(levels), CHOICE.count, size, size)
    )
    for _, series in chosen.group_by("study_id", "series_id", maintain_order=True):
        images = {}
        for path in series["path"].unique():
            dataset = pydicom.dcmread(path)
            image = dataset.pixel_array.astype(np.float32)
            image = image * float(dataset.get("RescaleSlope", 1))
            image = image + float(dataset.get("RescaleIntercept", 0))
            if dataset.PhotometricInterpretation == "MONOCHROME1":
                image = 2**dataset.BitsStored - 1 - image
            images[path] = image
        darkest, brightest = np.percentile(np.stack(list(images.values())), [1, 99.5])
        for cut in series.iter_rows(named=True):
            image = images[cut["path"]]
            axial = cut["series_description"] == "Axial T2"
            spacing = cut["column_spacing_mm"], cut["row_spacing_mm"]
            height, width = image.shape
            share = CROPS.axial_window if axial else CROPS.sagittal_window
            side_mm = share * max(height * spacing[1], width * spacing[0])
            patch_px = tuple(max(2, round(side_mm / step)) for step in spacing)
            patch = cv2.getRectSubPix(image, patch_px, (cut["x_px"], cut["y_px"]))
            shrinks = max(patch_px) > size
            how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            crop = cv2.resize(patch, (size, size), interpolation=how)
            if axial and not cut["patient_left_is_image_right"]:
                crop = crop[:, ::-1]
            grey = np.clip((crop - darkest) / (brightest - darkest), 0, 1) * 255
            row = row_of[cut["study_id"], cut["level"]]
            crops[row, cut["place"]] = np.rint(grey)
    crops.flush()


def check_same(ours: Path, other: Path) -> None:
    """Check that both did the same work; otherwise the comparison is meaningless."""
    one, two = (np.load(folder / "crops.npy", mmap_mode="r") for folder in (ours, other))
    levels = pl.read_parquet(ours / "samples.parquet")
    in_loop = levels.sort("study_id", "level")["row"].to_numpy()  # its levels are in this order
    some = min(50, len(two))  # few studies have fewer
    apart = np.abs(one[in_loop[:some]].astype(int) - two[:some])
    assert apart.mean() < 4, f"crops differ by {apart.mean():.1f} of 255 on average"


def choose(instances: pl.DataFrame, slices: pl.DataFrame) -> pl.DataFrame:
    """Return the chosen slices with their files."""
    from lsdc.challenges.lumbar.slices.choose import choose_slices

    own = instances.drop("split", "series_description", "orientation_group")
    return choose_slices(slices, CHOICE).join(own, on=FILE, how="left", maintain_order="left")


def decode(paths: list[str]) -> None:
    """Decode the pixels of every file with dicomsdl in this process."""
    import dicomsdl

    for path in paths:
        dicomsdl.open(path).pixelData(storedvalue=True)


def decode_supervised(paths: list[str]) -> None:
    """Decode them with the supervised reader, which survives bad files."""
    from lsdc.dicom.reader import read_pixels

    for _ in read_pixels(paths, processes=2):
        pass


def weigh_apart(tables: Path, studies: int) -> dict[str, float]:
    """Return seconds and peak memory of the stage, measured in a separate process."""
    command = [sys.executable, __file__, "--weigh", str(tables), str(studies)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def weigh(tables: Path, studies: int) -> dict[str, float]:
    """Measure seconds, then peak memory in a second run, as polling memory slows it down."""
    instances, slices = read_tables(tables, studies)
    with tempfile.TemporaryDirectory(dir=tables) as folder:
        seconds, _ = cost_of(lambda: stage(instances, slices, Path(folder)))
        with peak_memory() as peak:
            stage(instances, slices, Path(folder))
    return {"seconds": seconds, "peak_mib": peak[0]}


def index_phantom(folder: Path, max_size: int) -> None:
    """Write a phantom, its index and its slice offsets."""
    from lsdc.challenges.lumbar.competition.tables import open_competition
    from lsdc.challenges.lumbar.coordinates.annotated import annotated_points
    from lsdc.challenges.lumbar.coordinates.landmarks import annotated_landmarks
    from lsdc.challenges.lumbar.phantom.study import Order
    from lsdc.challenges.lumbar.phantom.writer import write_phantom
    from lsdc.challenges.lumbar.slices.slice_offsets import measure_offsets
    from tests.dicom_index.indexing import build_index

    root = folder / "phantom"
    write_phantom(root, Order(studies=PATIENTS, test=0, seed=0, max_size=max_size))
    competition = open_competition(root)
    build_index(competition, "train", folder)
    instances = pl.read_parquet(folder / "instances.parquet")
    points = annotated_points(instances, competition.annotations)
    landmarks = annotated_landmarks(points, instances, competition.annotations)
    measure_offsets(instances, points, competition.annotations, folder, landmarks=landmarks)


def write_files_as(encoding: str, folder: Path) -> Path:
    """Write the chosen files as native or RLE; return the folder of tables that list them."""
    import pydicom
    from pydicom.uid import RLELossless

    tables = folder / encoding
    tables.mkdir()
    instances = pl.read_parquet(folder / "instances.parquet")
    slices = pl.read_parquet(folder / "slices.parquet")
    new = {}
    for number, path in enumerate(choose(instances, slices)["path"].unique(maintain_order=True)):
        dataset = pydicom.dcmread(path)
        if dataset.file_meta.TransferSyntaxUID.is_compressed:
            dataset.decompress()
        if encoding == "rle":
            dataset.compress(RLELossless, generate_instance_uid=False)
        new[path] = str(tables / f"{number}.dcm")
        dataset.save_as(new[path])
    instances.with_columns(pl.col("path").replace(new)).write_parquet(tables / "instances.parquet")
    slices.write_parquet(tables / "slices.parquet")
    return tables


def read_tables(tables: Path, studies: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return instances and slices of so many studies, which repeat a few patients."""
    instances, slices = (
        pl.concat(
            pl.read_parquet(tables / f"{name}.parquet").with_columns(
                pl.col("study_id") + again * 10**11
            )
            for again in range(studies // PATIENTS)
        )
        for name in ("instances", "slices")
    )
    return instances, slices


if __name__ == "__main__":
    main()
