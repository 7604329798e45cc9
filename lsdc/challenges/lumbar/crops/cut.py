"""Crops: cut the model's input for all levels once, into one file.

`crops.npy` is (samples, slices, rows, columns); `samples.parquet` has one row per sample (a study's
level or, with `by_side`, one side of a level) with a mask of the slots that hold a slice. The
windows are defined in `crops.windows`, the grey values in `crops.intensities`, margins and spare
slices in `crops.frames`.
"""

import logging
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from lsdc.challenges.lumbar.config.crops import CropsConfig
from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.crops.frames import (
    FRAME,
    Frames,
    frame_table,
    has_frames,
    write_frame,
)
from lsdc.challenges.lumbar.crops.intensities import robust_range
from lsdc.challenges.lumbar.crops.motion import Motion, find_motion, motion_table
from lsdc.challenges.lumbar.crops.plan import (
    Samples,
    StudyCuts,
    choose_crops,
    files_in_order,
    list_samples,
    plan_cuts,
)
from lsdc.challenges.lumbar.slices.slots import list_stored, stored_places
from lsdc.challenges.lumbar.vocabulary import Side
from lsdc.dicom.image import Image
from lsdc.dicom.reader import Unreadable, read_pixels
from lsdc.dicom_index.image_use import acquisitions
from lsdc.dicom_index.quarantine import Quarantine, log_bad_files
from lsdc.geometry.planes import FloatArray
from lsdc.geometry.resample import needed_part, one_thread, resample
from lsdc.messages import counted
from lsdc.store.exact_names import read_parquet
from lsdc.store.npy_file import Crops, join_files, write_crops
from lsdc.store.table_files import write_table

log = logging.getLogger(__name__)

# Steps per pixel to which maps are rounded; crops with equal rounded maps are cut together. Over a
# whole crop, the rounding of the map's steps may add up to a tenth of a pixel.
_SAME_PLACE = 1024.0

_TABLES = {"samples": Samples, "frames": Frames, "quarantine": Quarantine, "motion": Motion}


@dataclass(frozen=True)
class _Filled:
    """What the stored slots of n samples hold.

    Attributes:
        kept: (n, stored) whether there is a slice.
        chosen: (n, stored) whether it fills a slot of the sample; a spare slice does not.
        pixels_mm: (n, stored, 2) width and height of a pixel, NaN in an empty slot.
    """

    kept: npt.NDArray[np.bool_]
    chosen: npt.NDArray[np.bool_]
    pixels_mm: npt.NDArray[np.float32]

    @classmethod
    def none(cls, shape: tuple[int, int]) -> "_Filled":
        """Return empty slots of this shape."""
        missing = np.full((*shape, 2), np.nan, dtype=np.float32)
        return cls(np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool), missing)

    def masks(self, samples: pl.DataFrame, choice: SlicesConfig) -> pl.DataFrame:
        """Return the samples with their masks."""
        mask = (self.kept & self.chosen)[:, stored_places(choice)]
        return samples.with_columns(mask=pl.Series(mask.tolist(), dtype=pl.List(pl.Boolean)))


# Key of crops that are cut together: sample, shape, dtype and scale of the image, rounded map.
Alike = tuple[int, tuple[int, ...], str, tuple[float, float], bytes]


def count_bytes(slices: pl.DataFrame, choice: SlicesConfig, config: CropsConfig) -> int:
    """Return the size in bytes of all crops of these slices."""
    samples = slices.n_unique(("split", "study_id", "level")) * (len(Side) if config.by_side else 1)
    return math.prod(_stored_shape(samples, choice, config)) * np.dtype(config.dtype).itemsize


def _joined(moved: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat([Motion.create_empty(), *moved])


def _stored_shape(
    samples: int, choice: SlicesConfig, config: CropsConfig
) -> tuple[int, int, int, int]:
    return samples, len(list_stored(choice)), *config.stored_shape


def cut_shard(
    instances: pl.DataFrame,
    slices: pl.DataFrame,
    choice: SlicesConfig,
    config: CropsConfig,
    out: Path,
    *,
    landmarks: pl.DataFrame | None = None,
    processes: int = 2,
    on_progress: Callable[[int, int], None] | None = None,
) -> int:
    """Cut the chosen slices of every study and level in `slices` (see `measure_offsets`).

    Writes `crops.npy`, its tables (of unreadable files as well; frames and motion only if they are
    asked for) and the frame of `crops.frames`. `join_crops` joins several shards.

    Args:
        instances: the instances table, with these studies at least.
        slices: the slices table of these studies.
        choice: the settings of the choice of slices.
        config: the settings of the crops.
        out: the folder to write to.
        landmarks: the landmarks table, for windows that are tilted or centred on landmarks.
        processes: number of child processes that read pixels.
        on_progress: called with the number of studies done and their total.

    Returns:
        The number of samples.

    Raises:
        DataError: landmarks are needed and not given.
    """
    samples = list_samples(slices, config)
    chosen = choose_crops(instances, slices, samples, choice, config)
    files = instances.select("path", "frame")[files_in_order(chosen)]
    quarantined, moved = list[dict[str, str]](), list[pl.DataFrame]()
    shape = _stored_shape(len(samples), choice, config)
    filled = _Filled.none(shape[:2])
    with one_thread(), write_crops(out / "crops.npy", shape, config.dtype) as write:
        images = _read(files, quarantined, processes)
        for done, cuts in enumerate(plan_cuts(chosen, instances, landmarks, config), start=1):
            block = np.zeros((cuts.samples, *shape[1:]), dtype=config.dtype)
            own = [next(images) for _ in cuts.files["path"]]
            still = _without_motion(cuts, own, config, moved)
            _cut_study(still, own, config, block, filled)
            del own  # frees the images' memory for those of the next study
            write(cuts.first_row, block)
            if on_progress is not None:
                on_progress(done, chosen["study_id"].n_unique())
    bad = pl.DataFrame(quarantined, schema=pl.Schema(Quarantine))
    tables = {
        "samples": filled.masks(samples, choice),
        "quarantine": bad.unique("path", keep="first", maintain_order=True),  # one row per file
        "motion": None if config.motion == "ignore" else _joined(moved),
    }
    if has_frames(choice, config):
        write_frame(choice, config, out)
        tables["frames"] = frame_table(filled.kept, filled.pixels_mm)
    _write(tables, out)
    return len(samples)


def join_crops(shards: Sequence[Path], out: Path, *, files: int) -> int:
    """Join the shards that `cut_shard` wrote into one folder of the same files.

    The crops are moved, so that the shards cannot be used afterwards.

    Args:
        shards: the shards' folders, in the order of their study ids.
        out: an existing folder on the same disk as the shards.
        files: number of files in the instances table.

    Returns:
        Number of samples written.
    """
    tables = {
        name: pl.concat([read_parquet(shard / f"{name}.parquet") for shard in shards])
        for name in _TABLES
        if (shards[0] / f"{name}.parquet").is_file()
    }
    log_bad_files("crops", tables["quarantine"], total=files)
    if "motion" in tables:
        series = tables["motion"].n_unique(("study_id", "series_id"))
        log.info("crops: %s of %d series moved", counted(len(tables["motion"]), "slice"), series)
    for name in {"samples", "frames"} & set(tables):
        tables[name] = tables[name].with_columns(row=pl.int_range(pl.len(), dtype=pl.Int32))
    if (shards[0] / FRAME).is_file():
        shutil.copyfile(shards[0] / FRAME, out / FRAME)
    join_files([shard / "crops.npy" for shard in shards], out / "crops.npy")
    _write(tables, out)
    return len(tables["samples"])


def _write(tables: Mapping[str, pl.DataFrame | None], out: Path) -> None:
    for name, table in tables.items():
        if table is not None:
            write_table(_TABLES[name], table, out / f"{name}.parquet")


def _read(
    files: pl.DataFrame, quarantined: list[dict[str, str]], processes: int
) -> Iterator[Image | None]:
    """Yield the image of each path and frame; None for one that is added to `quarantined`."""
    paths, frames = files["path"].to_list(), files["frame"].to_list()
    for number, image in read_pixels(paths, frames, processes=processes):
        if isinstance(image, Unreadable):
            quarantined.append({"path": paths[number], "stage": "crops", "reason": image.reason})
            yield None
        else:
            yield image


def _without_motion(
    cuts: StudyCuts, images: list[Image | None], config: CropsConfig, moved: list[pl.DataFrame]
) -> StudyCuts:
    """Return the cuts, shifted by the motion of their slices if that is corrected.

    Motion that is found or corrected is added to `moved`.
    """
    if config.motion == "ignore":
        return cuts
    shifts_mm = find_motion(cuts.files, images)
    moved.append(motion_table(cuts.files, shifts_mm))
    if config.motion == "find":
        return cuts
    spacing_mm = cuts.files.select("column_spacing_mm", "row_spacing_mm").to_numpy()
    maps = cuts.maps.copy()
    maps[:, :, 2] += (shifts_mm / spacing_mm)[cuts.file]
    return replace(cuts, maps=maps)


def _cut_study(
    cuts: StudyCuts,
    images: list[Image | None],
    config: CropsConfig,
    block: Crops,
    filled: _Filled,
) -> None:
    """Cut one study's crops into their rows and slots of `block`, (samples, slots, h, w)."""
    scales = _scales(cuts, images, white=int(np.iinfo(config.dtype).max))
    first_row, pixels_mm = cuts.first_row, _pixels_mm(cuts)
    for (_, _, _, linear, _), together in _alike(cuts, images, scales).items():
        stored = [image.stored for n in together if (image := images[cuts.file[n]]) is not None]
        lead = next((n for n in together if cuts.chosen[n]), together[0])
        crops = _cut_with_margins(stored, cuts.maps[lead], linear, config)
        for number, crop in zip(together, crops, strict=True):
            row, place = cuts.row[number], cuts.place[number]
            block[row - first_row, place] = crop
            filled.kept[row, place] = True
            filled.chosen[row, place] = cuts.chosen[number]
            filled.pixels_mm[row, place] = pixels_mm[number]


def _cut_with_margins(
    images: list[npt.NDArray[Any]],
    window: FloatArray,
    linear: tuple[float, float],
    config: CropsConfig,
) -> list[npt.NDArray[Any]]:
    """Cut the same window, with its margins, out of images of one shape.

    The window itself is cut once more without them: where the sums of coordinates start decides on
    their last bits, and what is validated and predicted must not depend on the margins.
    """

    def cut(pixel_map: FloatArray, shape: tuple[int, int]) -> list[npt.NDArray[Any]]:
        part, inner_map = needed_part(images[0].shape, pixel_map, shape)
        return resample(
            [image[part] for image in images],
            inner_map,
            shape,
            border=config.border,
            linear=linear,
            dtype=config.dtype,
        )

    crops = cut(window, config.shape)
    above, beside = config.margins
    if not above and not beside:
        return crops
    frame = window.copy()
    frame[:, 2] -= window[:, :2] @ (beside, above)
    framed = cut(frame, config.stored_shape)
    rows, columns = config.shape
    for larger, crop in zip(framed, crops, strict=True):
        larger[above : above + rows, beside : beside + columns] = crop
    return framed


def _pixels_mm(cuts: StudyCuts) -> FloatArray:
    """Return (n, 2) the width and the height of the crops' pixels in mm."""
    spacing_mm = cuts.files.select("column_spacing_mm", "row_spacing_mm").to_numpy()[cuts.file]
    steps: FloatArray = np.linalg.norm(cuts.maps[:, :, :2] * spacing_mm[..., None], axis=1)
    return steps


def _scales(
    cuts: StudyCuts, images: list[Image | None], *, white: int
) -> dict[int, tuple[float, float]]:
    """Return the factor and offset of each readable file's values; see `Range.linear`.

    The range is that of an acquisition's chosen slices: spare ones must not change it.
    """
    chosen = {file for file, own in zip(cuts.file, cuts.chosen, strict=True) if own}
    acquired: dict[int, list[int]] = {}
    for file, acquisition in enumerate(acquisitions(cuts.files).tolist()):
        if images[file] is not None:
            acquired.setdefault(acquisition, []).append(file)
    scales: dict[int, tuple[float, float]] = {}
    for files in acquired.values():
        readable = {file: image for file in files if (image := images[file]) is not None}
        shown = [image for file, image in readable.items() if file in chosen]
        range_ = robust_range(shown or list(readable.values()))
        scales |= {file: range_.linear(image, white) for file, image in readable.items()}
    return scales


def _alike(
    cuts: StudyCuts, images: list[Image | None], scales: dict[int, tuple[float, float]]
) -> dict[Alike, list[int]]:
    """Group a sample's crops with the same map and scale; it is faster to cut them together."""
    rounded = np.rint(cuts.maps.reshape(-1, 6) * _SAME_PLACE).astype(np.int64)
    alike: dict[Alike, list[int]] = {}
    for number, (file, row) in enumerate(zip(cuts.file, cuts.row, strict=True)):
        image = images[file]
        if image is not None:
            stored, place = image.stored, rounded[number].tobytes()
            key = row, stored.shape, stored.dtype.str, scales[file], place
            alike.setdefault(key, []).append(number)
    return alike
