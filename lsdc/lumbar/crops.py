"""Crops: what a model is shown of a level, cut once into one memory map.

`crops.npy` is uint8 of shape (samples, slices, size, size); `samples.parquet` has a row a sample
(study and level) with a mask of the slices that are really there. Intensities are scaled a series
by robust percentiles of what the files store, and turned to uint8 only after that.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from lsdc.dicom.reader import Unreadable, read_pixels
from lsdc.experiments.config import CropsConfig, SlicesConfig
from lsdc.lumbar.quarantine import QUARANTINE, check_bad_files
from lsdc.lumbar.slices import choose_slices
from lsdc.lumbar.vocabulary import LEVELS, SeriesDescription
from lsdc.store.files import reserve, write_atomic

Image = npt.NDArray[np.float32]
_DARKEST, _BRIGHTEST = 1.0, 99.5  # percentiles that become 0 and 255
_SAMPLE = ("split", "study_id", "level")
_FILE = ("study_id", "series_id", "instance_number")


def count_bytes(slices: pl.DataFrame, choice: SlicesConfig, config: CropsConfig) -> int:
    """Size of the memory map that `cut_crops` will write."""
    return slices.n_unique(_SAMPLE) * choice.count * config.size_px**2


def cut_crops(
    instances: pl.DataFrame,
    slices: pl.DataFrame,
    choice: SlicesConfig,
    config: CropsConfig,
    out: Path,
    *,
    processes: int = 2,
    max_bad: float = 0.01,
    on_progress: Callable[[int, int], None] | None = None,
) -> int:
    """Cut the chosen slices of every study and level in `slices` (see `find_sides`).

    Writes `crops.npy` and `samples.parquet` as above; `quarantine.parquet` names the files whose
    pixels could not be read: they become masked slices.

    Returns:
        Samples written.

    Raises:
        StageError: more than `max_bad` of the files, and at least 10, have unreadable pixels.
    """
    chosen = choose_slices(slices, choice).join(
        instances.drop("split", "series_description"), on=_FILE, how="left", maintain_order="left"
    )
    samples = _samples(slices)
    files = chosen.unique("path", maintain_order=True).select("path", "study_id")
    quarantined: list[dict[str, str]] = []
    with write_atomic(out / "crops.npy") as temporary:
        shape = (len(samples), choice.count, config.size_px, config.size_px)
        if not len(samples):
            np.save(temporary, np.zeros(shape, dtype=np.uint8))  # nothing cannot be mapped
        crops = np.lib.format.open_memmap(
            temporary, mode="w+" if len(samples) else "r", dtype=np.uint8, shape=shape
        )
        reserve(temporary, temporary.stat().st_size)
        mask = np.zeros(shape[:2], dtype=bool)
        studies = files["study_id"].n_unique()
        by_study = _images_by_study(files, quarantined, processes)
        for done, (study, images) in enumerate(by_study, start=1):
            cuts = chosen.filter(pl.col("study_id") == study).join(
                samples, on=_SAMPLE, how="left", maintain_order="left"
            )
            _cut_study(cuts, images, config, crops, mask)
            if on_progress is not None:
                on_progress(done, studies)
        crops.flush()
        del crops
    quarantine = pl.DataFrame(quarantined, schema=QUARANTINE)
    check_bad_files("crops", quarantine, total=len(instances), max_bad=max_bad)
    samples = samples.with_columns(pl.Series("mask", mask.tolist(), dtype=pl.List(pl.Boolean)))
    for name, table in {"samples": samples, "quarantine": quarantine}.items():
        with write_atomic(out / f"{name}.parquet") as temporary:
            table.write_parquet(temporary)
    return len(samples)


def _samples(slices: pl.DataFrame) -> pl.DataFrame:
    """A row a study and level, in the order of the memory map."""
    order = {str(level): number for number, level in enumerate(LEVELS)}
    return (
        slices.select(_SAMPLE)
        .unique()
        .sort("study_id", pl.col("level").replace_strict(order, return_dtype=pl.Int32))
        .with_row_index("row")
        .with_columns(pl.col("row").cast(pl.Int32))
    )


def _images_by_study(
    files: pl.DataFrame, quarantined: list[dict[str, str]], processes: int
) -> Iterator[tuple[int, dict[str, Image]]]:
    """Decode the files study by study; what fails is added to `quarantined` and left out."""
    paths, studies = files["path"].to_list(), files["study_id"].to_list()
    images: dict[str, Image] = {}
    for number, pixels in read_pixels(paths, processes=processes):
        if isinstance(pixels, Unreadable):
            quarantined.append({"path": paths[number], "stage": "crops", "reason": pixels.reason})
        else:
            images[paths[number]] = pixels
        if number + 1 == len(paths) or studies[number + 1] != studies[number]:
            yield studies[number], images
            images = {}


def _cut_study(
    cuts: pl.DataFrame,
    images: dict[str, Image],
    config: CropsConfig,
    crops: npt.NDArray[np.uint8],
    mask: npt.NDArray[np.bool_],
) -> None:
    """Cut one study's crops into their rows and places of the memory map."""
    for (_, description), series in cuts.group_by("series_id", "series_description"):
        here = [images[path] for path in series["path"].unique() if path in images]
        if not here:
            continue
        darkest, brightest = _robust_range(here)
        is_axial = description == SeriesDescription.AXIAL_T2
        window = config.axial_window if is_axial else config.sagittal_window
        for cut in series.iter_rows(named=True):
            if cut["path"] not in images:
                continue
            crop = _cut(images[cut["path"]], cut, window, config.size_px)
            if is_axial and not cut["patient_left_is_image_right"]:
                crop = crop[:, ::-1]
            scaled = (crop - darkest) / max(brightest - darkest, 1e-6)
            crops[cut["row"], cut["place"]] = np.rint(255 * np.clip(scaled, 0, 1))
            mask[cut["row"], cut["place"]] = True


def _robust_range(images: list[Image]) -> tuple[float, float]:
    values = np.concatenate([image[::2, ::2].ravel() for image in images])
    darkest, brightest = np.percentile(values, [_DARKEST, _BRIGHTEST])
    return float(darkest), float(brightest)


def _cut(image: Image, cut: dict[str, float], window: float, size_px: int) -> Image:
    """A square in mm around the level point, resampled to `size_px`; edges are continued.

    The window is a share of the image's longer side in mm, so anisotropic pixels come out square.
    """
    # OpenCV takes 0.2 s to import, which a run without crops to cut need not spend.
    import cv2

    height, width = image.shape
    side_mm = window * max(height * cut["row_spacing_mm"], width * cut["column_spacing_mm"])
    patch_px = (
        max(2, round(side_mm / cut["column_spacing_mm"])),
        max(2, round(side_mm / cut["row_spacing_mm"])),
    )
    patch = cv2.getRectSubPix(image, patch_px, (cut["x_px"], cut["y_px"]))
    shrinks = max(patch_px) > size_px
    resized: Image = cv2.resize(
        patch, (size_px, size_px), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    return resized
