"""Layout: find each file's series from its folders.

A competition's images are in `{split}_images/STUDY/SERIES/`. Unpacking and exporting may add
folders above, between and below these (`train_images/train_images/`, `STUDY/SERIES/DICOM/`),
leading zeros of an id, other capitals and any file extension; the data are the same. Index, doctor
and run all use this module, so that they see the same files.
"""

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path

import polars as pl

from lsdc.dicom.names import escape_name, unescape_name
from lsdc.dicom.preflight import may_be_transient
from lsdc.dicom.walk import is_folder
from lsdc.dicom_index.listing import Listing, Split
from lsdc.errors import DataError

_ID = re.compile(r"0*[0-9]{1,18}")
_IMAGES = re.compile(r"(train|test)_images", re.IGNORECASE)
# The number of an instance in a file's name: `7`, `7.dcm`, `007.IMA`.
NAME_NUMBER = r"^0*([0-9]{1,18})(?:\.[A-Za-z][A-Za-z0-9]*)?$"


@dataclass(frozen=True)
class Layout:
    """The folders of a competition's images.

    Attributes:
        images: the folders, named as in tables, with the split whose images they hold.
        listed: the pairs (study, series) that the tables list, by split.
    """

    images: Mapping[str, str]
    listed: Mapping[str, frozenset[tuple[int, int]]]

    def place(self, folder: str) -> tuple[str, int, int] | None:
        """Return the split, study and series of a folder; None outside the layout.

        The study is the first number in its path below `{split}_images` that the tables list as a
        study, the series the first one after it that they list for that study. If they list none,
        these are the first two numbers.

        Args:
            folder: the folder's path as text (see `lsdc.dicom.names`).

        >>> layout = Layout({"/data/train_images": "train"}, {"train": frozenset({(7, 12)})})
        >>> layout.place("/data/train_images/2024/007/12/DICOM")
        ('train', 7, 12)
        """
        found = self._below_images(folder)
        if found is None:
            return None
        split, inner = found
        ids = [int(name) for name in inner if _ID.fullmatch(name)]
        pairs = self._listed_pairs(split, ids) or list(combinations(ids, 2))
        return (split, *pairs[0]) if pairs else None

    def place_study(self, folder: str) -> tuple[str, int] | None:
        """Return the split and the listed study of a folder; None if it belongs to none."""
        split, inner = self._below_images(folder) or ("", ())
        ids = [int(name) for name in inner if _ID.fullmatch(name)]
        return next(((split, one) for one in ids if one in self.studies(split)), None)

    def studies(self, split: str) -> frozenset[int]:
        """Return the studies that the tables list for a split."""
        return self._studies.get(split, frozenset())

    @cached_property
    def _studies(self) -> dict[str, frozenset[int]]:
        return {split: frozenset(study for study, _ in own) for split, own in self.listed.items()}

    def _listed_pairs(self, split: str, ids: Sequence[int]) -> list[tuple[int, int]]:
        listed = self.listed.get(split, frozenset())
        studies = self.studies(split)
        start = next((place for place, one in enumerate(ids) if one in studies), len(ids))
        return [(ids[start], one) for one in ids[start + 1 :] if (ids[start], one) in listed]

    def _below_images(self, folder: str) -> tuple[str, Sequence[str]] | None:
        for images, split in self.images.items():
            if folder.startswith(f"{images}/"):
                return split, folder[len(images) + 1 :].split("/")
        return None

    def study_folders(self, split: Split, studies: Collection[int]) -> dict[int, list[Path]]:
        """Return the folders of listed studies: mostly one each, none for a study without images.

        Args:
            split: the split of the images.
            studies: the ids of the studies to look up.

        Raises:
            DataError: a study was not found, and may be in an unreadable folder.
            OSError: the system cannot read a folder at the moment.
        """
        listed = self.studies(split)
        found: dict[int, list[Path]] = {}
        closed: list[Path] = []
        for images, of in self.images.items():
            if of == split:
                for study, folder in _listed_below(_path_of(images), listed, closed):
                    if study in studies:
                        found.setdefault(study, []).append(folder)
        if closed and (missing := len(set(studies) - set(found))):
            raise DataError(
                f"{min(closed)}: no permission to read this folder, and {missing} listed studies "
                "are not in another folder; grant read permission, or move the folder away"
            )
        return {study: sorted(found[study]) for study in sorted(found)}

    def all_study_folders(self) -> list[Path]:
        """Return the folders of all listed studies, those of training first."""
        splits: tuple[Split, ...] = ("train", "test")
        found = [self.study_folders(split, self.studies(split)) for split in splits]
        return [folder for each in found for own in each.values() for folder in own]


class _AnyLayout(Layout):
    """The layout of a tree without tables: `{split}_images` may be any folder of a path."""

    def _below_images(self, folder: str) -> tuple[str, Sequence[str]] | None:
        names = folder.split("/")
        for place in range(len(names) - 1, -1, -1):
            if found := _IMAGES.fullmatch(names[place]):
                return found[1].lower(), names[place + 1 :]
        return None


def layout_of(listing: Listing | None) -> Layout:
    """Find the folders of images of a listing.

    They are `train_images` and `test_images` in its folder or, if missing there, in its subfolders.

    Args:
        listing: the loaded tables; None for a tree without tables.

    Raises:
        DataError: there are no training images, and no unreadable folder that may hold them.
        OSError: the system cannot read a folder at the moment.
    """
    if listing is None:
        return _AnyLayout({}, {})
    images: dict[str, str] = {}
    closed: list[Path] = []
    inner = folders_in(listing.root.absolute(), closed)
    for split in ("train", "test"):
        name = f"{split}_images"
        own = [each for each in inner if each.name.lower() == name]
        own = own or [
            each
            for folder in inner
            for each in folders_in(folder, closed)
            if each.name.lower() == name
        ]
        images |= {escape_name(folder): split for folder in own}
    if closed and "train" not in images.values():
        raise DataError(
            f"{closed[0]}: no permission to read this folder, and train_images is not in another "
            "folder; grant read permission, or move the folder away"
        )
    listed = {
        str(split): frozenset(rows.select("study_id", "series_id").iter_rows())
        for (split,), rows in listing.series.group_by("split")
    }
    return Layout(images, {"train": frozenset(), "test": frozenset()} | listed)


def place_folders(folders: pl.Series, layout: Layout) -> pl.DataFrame:
    """Return the split, study_id and series_id of folders; null outside the layout."""
    places = [layout.place(folder) or (None, None, None) for folder in folders]
    schema = {"split": pl.String, "study_id": pl.Int64, "series_id": pl.Int64}
    return pl.DataFrame(places, schema=schema, orient="row")


def _listed_below(
    images: Path, listed: Collection[int], closed: list[Path]
) -> Iterator[tuple[int, Path]]:
    """Find folders named as a listed study, without searching inside; `closed` gets others."""
    waiting, seen = [images], set[Path]()
    while waiting:
        folder = waiting.pop()
        if (real := folder.resolve()) in seen:
            continue  # links may form a loop
        seen.add(real)
        for inner in folders_in(folder, closed):
            if _ID.fullmatch(inner.name) and int(inner.name) in listed:
                yield int(inner.name), inner
            else:
                waiting.append(inner)


def folders_in(folder: Path, closed: list[Path] | None = None) -> list[Path]:
    """Return a folder's subfolders by name; none if it is gone or may not be read.

    Args:
        folder: the folder to list.
        closed: receives the folder if it may not be read.

    Raises:
        OSError: the system cannot read it at the moment.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if is_folder(entry))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        if may_be_transient(error):
            raise
        if closed is not None:
            closed.append(folder)
        return []


def _path_of(name: str) -> Path:
    return Path(os.fsdecode(unescape_name(name)))
