"""Twins: the same images under two ids, which would leak grades between folds.

Images of different series with the same position and shape may be the same. A few of each such
series are read; equal pixels make twins. Headers may differ, as after anonymising the same images
twice. Images that were recompressed with loss are not found.
"""

from collections import defaultdict
from collections.abc import Callable
from hashlib import blake2b

import dataframely as dy
import polars as pl

from lsdc.dicom.reader import Unreadable, read_pixels
from lsdc.dicom_index.instance_table import IDS, SPLITS, split_column
from lsdc.tables.table import Table

_FIRST = "The first series with the same images: its split, study id and series id."


class Twins(Table):
    """One row per series that has the same images as an earlier series (train before test, then by
    id). Training studies with the same images are in the same fold.
    """

    split = split_column()
    study_id = dy.Int64(description=IDS)
    series_id = dy.Int64(description=IDS)
    twin_split = dy.String(nullable=True, check=SPLITS, description=_FIRST)
    twin_study_id = dy.Int64(description=_FIRST)
    twin_series_id = dy.Int64(description=_FIRST)
    images = dy.Int64(
        min=0,
        description="Number of images at the same position in both; the pixels of some of them "
        "were compared.",
    )


# Per series, since the first may be blank or unreadable.
_IMAGES_COMPARED = 3
_SERIES = ["split", "study_id", "series_id"]

Series = tuple[str | None, int, int]


def find_twins(instances: pl.LazyFrame, *, processes: int = 2) -> pl.DataFrame:
    """Find the series that have images of another one.

    Args:
        instances: `instance_table.Instances`.
        processes: the number of child processes.

    Returns:
        `Twins`: a series, the first other one with the same images, and the number of images at the
        same position. Training comes before testing, and the lower id before the higher.
    """
    shared = _at_one_place(instances)
    compared = (
        shared.sort("place", "path", "frame")
        .group_by(_SERIES, maintain_order=True)
        .head(_IMAGES_COMPARED)
        .filter(pl.col("place").is_duplicated())
    )
    digests = digest_pixels(compared, processes)
    owners: defaultdict[tuple[int, str], list[Series]] = defaultdict(list)
    rows = compared.select("place", *_SERIES).iter_rows()
    for (place, *series), digest in zip(rows, digests, strict=True):
        if digest is not None:
            owners[place, digest].append((series[0], series[1], series[2]))
    twins: dict[Series, Series] = {}
    for alike in owners.values():
        original = min(alike, key=_rank)
        for twin in alike:
            if twin != original:
                twins[twin] = min(original, twins.get(twin, original), key=_rank)
    places = {
        (split, study, series): set(own)
        for split, study, series, own in shared.group_by(_SERIES).agg("place").iter_rows()
    }
    found = [
        (*series, *original, len(places[series] & places[original]))
        for series, original in sorted(twins.items(), key=lambda pair: _rank(pair[0]))
    ]
    return pl.DataFrame(found, schema=pl.Schema(Twins), orient="row")


def groups_of_twins(twins: pl.DataFrame, split: str) -> dict[int, int]:
    """Group the studies of a split that are twins: map each to the lowest id of its group.

    Args:
        twins: `Twins`.
        split: the split of both twins.

    Returns:
        Studies with a twin in their split; each other study is its own group.

    >>> pairs = pl.DataFrame({"study_id": [7, 8], "twin_study_id": [8, 9]})
    >>> in_train = pairs.with_columns(split=pl.lit("train"), twin_split=pl.lit("train"))
    >>> groups_of_twins(in_train, "train")
    {7: 7, 8: 7, 9: 7}
    """
    pairs = twins.filter(split=split, twin_split=split).select("study_id", "twin_study_id")
    lowest: dict[int, int] = {}

    def root(study: int) -> int:
        while lowest.setdefault(study, study) != study:
            study = lowest[study]
        return study

    for one, other in pairs.iter_rows():
        first, second = sorted((root(one), root(other)))
        lowest[second] = first
    groups = {study: root(study) for study in lowest}
    sizes = defaultdict[int, int](int)
    for group in groups.values():
        sizes[group] += 1
    return {study: group for study, group in sorted(groups.items()) if sizes[group] > 1}


def describe_twins(twins: pl.DataFrame, spell: Callable[[int], str] = str) -> list[str]:
    """Describe each pair of ids once: `12 = 34`, or `12/3 = 12/4` within a study.

    Args:
        twins: `Twins`.
        spell: formats an id.
    """
    lines: dict[str, None] = {}
    for split, study, series, twin_split, twin_study, twin_series, _ in twins.iter_rows():
        one, other = spell(study), spell(twin_study)
        if split != twin_split:
            one, other = f"{split} {one}", f"{twin_split} {other}"
        elif study == twin_study:
            one, other = f"{one}/{spell(series)}", f"{other}/{spell(twin_series)}"
        lines[f"{one} = {other}"] = None
    return list(lines)


def _rank(series: Series) -> tuple[bool, int, int]:
    split, study, one = series
    return split != "train", study, one


def _at_one_place(instances: pl.LazyFrame) -> pl.DataFrame:
    """Return images that may be twins: the ids, path, and a digest of shape and position.

    Two echoes in one study share a position and are not twins.
    """
    numbers = [
        *((pl.col(name), 3) for name in ("row_spacing_mm", "column_spacing_mm")),
        *((pl.col("position_mm").arr.get(axis), 2) for axis in range(3)),
        *((pl.col("orientation").arr.get(axis), 3) for axis in range(6)),
    ]
    # Adding zero turns -0.0 into 0.0.
    rounded = [
        (number.round(digits) + 0.0).alias(f"{place}")
        for place, (number, digits) in enumerate(numbers)
    ]
    keyed = instances.select(
        *_SERIES,
        "path",
        "frame",
        "echo_time_ms",
        place=pl.struct("rows", "columns", *rounded).hash(),
    )
    several = keyed.group_by("place").agg(
        series=pl.struct(_SERIES).n_unique(),
        studies=pl.struct("split", "study_id").n_unique(),
        echoes=pl.col("echo_time_ms").n_unique(),
    )
    echoes = (pl.col("studies") == 1) & (pl.col("echoes") == pl.col("series"))
    wanted = several.filter(pl.col("series") > 1, ~echoes).select("place")
    return keyed.join(wanted, on="place", how="semi").drop("echo_time_ms").collect()


def digest_pixels(
    images: pl.DataFrame, processes: int = 2, *, with_blank: bool = False
) -> list[str | None]:
    """Return a digest of each image's brightness values; None if it is unreadable or blank.

    Args:
        images: a table with path and frame.
        processes: the number of child processes.
        with_blank: whether a blank image gets a digest as well.
    """
    digests: list[str | None] = [None] * len(images)
    if images.is_empty():
        return digests
    paths, frames = images["path"].to_list(), images["frame"].to_list()
    for number, image in read_pixels(paths, frames=frames, processes=processes):
        if isinstance(image, Unreadable):
            continue
        if with_blank or image.stored.min() != image.stored.max():
            pixels = image.rescaled()
            digests[number] = blake2b(pixels.tobytes(), digest_size=16).hexdigest()
    return digests
