"""Folders: find the folders of images, and list their files in parts.

The competition had two stages. The second stage's training images are the training and the test
images of the first one. Mirrors drop `_images` from the folders' names, and unpacking adds folders
above and below them.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args
from zlib import crc32

import dataframely as dy
import polars as pl

from lsdc.dicom.walk import list_trees
from lsdc.dicom_index.layout import folders_in
from lsdc.dicom_index.listing import Split
from lsdc.errors import DataError
from lsdc.tables.table import Table, one_of

log = logging.getLogger(__name__)

Stage = Literal[1, 2]
Folders = Mapping[Split, Sequence[Path]]

_FOLDER = re.compile(r"stage_([12])_(train|test)(?:_images)?", re.IGNORECASE)
# A file's extension; the numbers of a UID are none.
EXTENSION = r"\.[A-Za-z][A-Za-z0-9]*$"
# A part has about as many files as a study or two: parts are what shards consist of.
_FILES_A_PART = 64


class ListedFiles(Table):
    """One row per file of the folders of images, or folder that may not be read."""

    split = dy.String(check=one_of(get_args(Split)), description="train or test.")
    path = dy.String(description="Path of the file.")
    bytes = dy.Int64(nullable=True, description="Size of the file.")
    mtime_ns = dy.Int64(nullable=True, description="Time of its last change, in nanoseconds.")
    image_id = dy.String(description="The file's name without its extension.")
    part = dy.Int64(min=0, description="Number of the file's part of its split.")
    parts = dy.Int64(min=1, description="Number of parts of the split.")


def find_folders(root: Path, stage: Stage | None = None) -> dict[Split, list[Path]]:
    """Find the folders of images in a folder, or else in its subfolders.

    Args:
        root: the competition's folder.
        stage: the stage of the competition's tables; by default the last one that has a folder.

    Returns:
        The folders by split. A split without images has none.

    Raises:
        DataError: there are none at all.
        OSError: the system cannot read a folder at the moment.
    """
    inner = folders_in(root.absolute())
    named = _named(inner) or _named([each for folder in inner for each in folders_in(folder)])
    if not named:
        raise DataError(
            f"{root}: no folder of images, expected stage_2_train_images and stage_2_test_images "
            "(or the same of stage 1, or without _images); unpack the images there"
        )
    if (stage or max(of for of, _ in named)) == 1:
        found: dict[Split, list[Path]] = {
            "train": named.get((1, "train"), []),
            "test": named.get((1, "test"), []),
        }
    else:
        first = [*named.get((1, "train"), []), *named.get((1, "test"), [])]
        found = {"train": named.get((2, "train"), first), "test": named.get((2, "test"), [])}
    read = {folder for folders in found.values() for folder in folders}
    for folders in named.values():
        for folder in folders:
            if folder not in read:
                log.warning("index: %s is not read: its images are of another stage", folder)
    return found


def _named(folders: Sequence[Path]) -> dict[tuple[int, str], list[Path]]:
    """Return those of the folders that are named as folders of images, by stage and split."""
    named: dict[tuple[int, str], list[Path]] = {}
    for folder in folders:
        if found := _FOLDER.fullmatch(folder.name):
            named.setdefault((int(found[1]), found[2].lower()), []).append(folder)
    return named


def list_files(folders: Folders) -> pl.DataFrame:
    """List all files below the folders of images (`ListedFiles`), sorted by split and path.

    The study of a file is known only once the file is read, so files are divided by their names:
    into parts of about the size of a study, whose number is a power of two. A new file changes one
    part, and two files of one image are in the same part.

    Args:
        folders: the folders by split.

    Raises:
        OSError: the system cannot read a folder at the moment.
    """
    lists: list[pl.DataFrame] = [ListedFiles.create_empty()]
    for split in get_args(Split):
        found = list_trees(folders.get(split, []), with_status=True)
        parts = 1 << (max(len(found) - 1, 0) // _FILES_A_PART).bit_length()
        ids = found["name"].str.replace(EXTENSION, "")
        numbers = [crc32(image.encode()) % parts for image in ids]
        lists.append(
            found.select(
                pl.lit(split).alias("split"),
                pl.concat_str("folder", "name", separator="/").alias("path"),
                "bytes",
                "mtime_ns",
                ids.alias("image_id"),
                pl.Series("part", numbers, dtype=pl.Int64),
                pl.lit(parts, dtype=pl.Int64).alias("parts"),
            )
        )
    return pl.concat(lists)
