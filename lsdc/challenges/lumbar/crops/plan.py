"""Plan of the crops: the file, window and destination of each."""

from collections.abc import Iterator
from dataclasses import dataclass

import dataframely as dy
import numpy as np
import numpy.typing as npt
import polars as pl

from lsdc.challenges.lumbar import columns
from lsdc.challenges.lumbar.config.crops import CropsConfig
from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.crops.windows import window_maps
from lsdc.challenges.lumbar.slices.choose import choose_stored
from lsdc.challenges.lumbar.slices.slots import mirrored_stored
from lsdc.challenges.lumbar.vocabulary import Side
from lsdc.tables.table import Table, one_of

_LEVEL = ("split", "study_id", "level")
_SAMPLE = (*_LEVEL, "side")
_FILE = ("study_id", "series_id", "instance_number")
_KEY_OF_FILE = ("study_id", "instance")
_CROP = (
    "study_id",
    "level",
    "side",
    "row",
    "place",
    "chosen",
    "series_description",
    "x_px",
    "y_px",
    "instance",
)
# Number of studies that are planned together: enough for speed, few enough to save memory.
_STUDIES_AT_ONCE = 32


class Samples(Table):
    """One row per sample: all crops of one level of one study, or of one of its sides with
    crops.by_side.
    """

    row = dy.Int32(primary_key=True, min=0, description="Row of crops.npy, from 0.")
    split = columns.split()
    study_id = columns.study()
    level = columns.level()
    side = dy.String(
        nullable=True,
        check=one_of(Side),
        description="The side, with crops.by_side; null if a sample has both sides.",
    )
    mask = dy.List(
        dy.Bool(nullable=True), description="One value per slot: whether the slot holds a slice."
    )


@dataclass(frozen=True)
class StudyCuts:
    """The n crops of one study, out of k files.

    Attributes:
        first_row: row in `crops.npy` of the study's first sample with a slice.
        samples: number of rows from there to its last sample with a slice.
        files: k rows of the instances table, each file once.
        file, row, place: (n,) each crop's index into `files`, and its row and slot in `crops.npy`.
        chosen: (n,) whether the slice fills a slot of the sample; a spare slice does not.
        maps: (n, 2, 3) affine maps from crop to image pixels, without the margins; see
            `window_maps`.
    """

    first_row: int
    samples: int
    files: pl.DataFrame
    file: list[int]
    row: list[int]
    place: list[int]
    chosen: list[bool]
    maps: npt.NDArray[np.float64]


def list_samples(slices: pl.DataFrame, config: CropsConfig) -> pl.DataFrame:
    """Return one row per sample, in the order of `crops.npy`; `side` is null for both sides."""
    return (
        slices.select(_LEVEL)
        .unique()
        .sort("study_id", columns.LEVEL_NUMBER)
        .join(_sides(config), how="cross", maintain_order="left_right")
        .with_row_index("row")
        .with_columns(pl.col("row").cast(pl.Int32))
    )


def _sides(config: CropsConfig) -> pl.DataFrame:
    sides = [str(side) for side in Side] if config.by_side else [None]
    return pl.DataFrame({"side": sides}, schema={"side": pl.String})


def choose_crops(
    instances: pl.DataFrame,
    slices: pl.DataFrame,
    samples: pl.DataFrame,
    choice: SlicesConfig,
    config: CropsConfig,
) -> pl.DataFrame:
    """Return one row per crop to cut, sample by sample, with only the columns that are needed.

    Returns:
        study_id, level, side, row, place and chosen (see `choose_stored`), series_description,
        x_px, y_px, and `instance`, the slice's row in the instances table.
    """
    numbered = instances.select(_FILE).with_row_index("instance")
    studies = samples["study_id"].unique().sort()
    blocks = [
        _sided(choose_stored(slices.filter(pl.col("study_id").is_in(some)), choice), choice, config)
        .join(samples, on=_SAMPLE, how="left", maintain_order="left", nulls_equal=True)
        .join(numbered, on=_FILE, how="left", maintain_order="left")
        .select(*_CROP)
        for some in (
            studies[first : first + _STUDIES_AT_ONCE].implode()
            for first in range(0, max(len(studies), 1), _STUDIES_AT_ONCE)
        )
    ]
    return pl.concat(blocks)


def _sided(chosen: pl.DataFrame, choice: SlicesConfig, config: CropsConfig) -> pl.DataFrame:
    """Add `side` to the chosen slices; those of a right side get the slots of the mirror image."""
    mirrored = {old: new for new, old in enumerate(mirrored_stored(choice))}
    place = pl.col("place")
    return chosen.join(_sides(config), how="cross", maintain_order="left_right").with_columns(
        pl.when(pl.col("side") == Side.RIGHT)
        .then(place.replace_strict(mirrored, return_dtype=pl.Int32))
        .otherwise(place)
    )


def files_in_order(chosen: pl.DataFrame) -> pl.Series:
    """Return the files' rows in the instances table, in the order in which they are cut."""
    return chosen.unique(_KEY_OF_FILE).sort(_KEY_OF_FILE)["instance"]


def plan_cuts(
    chosen: pl.DataFrame,
    instances: pl.DataFrame,
    landmarks: pl.DataFrame | None,
    config: CropsConfig,
) -> Iterator[StudyCuts]:
    """Yield the crops of each study, in the order of `chosen` (see `choose_crops`)."""
    # (studies,) row after each study's last crop in `chosen`, and row of its first crop.
    ends = np.flatnonzero(np.diff(chosen["study_id"].to_numpy(), append=-1)) + 1
    starts = np.concatenate([[0], ends[:-1]])
    for first in range(0, len(ends), _STUDIES_AT_ONCE):
        own = slice(first, first + _STUDIES_AT_ONCE)
        begin = starts[own][0]
        # The n crops of these studies, the n rows of their images, and (n, 2, 3) maps.
        table = chosen[begin : ends[own][-1]]
        images = instances[table["instance"]].drop("split", "study_id", "series_description")
        maps = window_maps(pl.concat([table, images], how="horizontal"), landmarks, config)
        yield from _by_study(table, instances, maps, starts[own] - begin)


def _by_study(
    crops: pl.DataFrame,
    instances: pl.DataFrame,
    maps: npt.NDArray[np.float64],
    starts: npt.NDArray[np.intp],
) -> Iterator[StudyCuts]:
    """Split rows of `choose_crops` by study; `starts` are the studies' first rows."""
    # Few data frames for all studies: one frame per study would take longer than its crops.
    key = crops.select(_KEY_OF_FILE).with_columns(study=pl.col("study_id").rle_id())
    # Each study's files once, and (studies,) the first row of each study among them.
    used = key.unique(("study", "instance")).sort("study", "instance")
    files = instances[used["instance"]]
    file_starts = np.searchsorted(used["study"].to_numpy(), np.arange(len(starts)))
    columns = (crops[name].to_numpy() for name in ("instance", "row", "place", "chosen"))
    # For each study: (n,) instance, row, place and choice of its crops, and (n, 2, 3) maps.
    parts = (np.split(column, starts[1:]) for column in (*columns, maps))
    in_files = np.split(used["instance"].to_numpy(), file_starts[1:])
    for at, own, (instance, row, place, chosen, own_maps) in zip(
        file_starts, in_files, zip(*parts, strict=True), strict=True
    ):
        yield StudyCuts(
            first_row=int(row.min()),
            samples=int(row.max() - row.min()) + 1,
            files=files[int(at) : int(at) + len(own)],
            # `own` is sorted and holds every instance, so these are indices into it.
            file=np.searchsorted(own, instance).tolist(),
            row=row.tolist(),
            place=place.tolist(),
            chosen=chosen.tolist(),
            maps=own_maps,
        )
