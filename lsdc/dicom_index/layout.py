"""Layout: which file is of which series, by the folders that it lies in.

A competition's images lie in `{split}_images/STUDY/SERIES/`. Unpacking and exporting leave it
otherwise, and that is no other data: further folders above, between and below these
(`train_images/train_images/`, `STUDY/SERIES/DICOM/`), zeros before an id, other capitals, any
ending of a file's name. Index, doctor and run all ask here, so that they see the same files.
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
from lsdc.dicom.preflight import may_pass
from lsdc.dicom.walk import is_folder
from lsdc.dicom_index.listing import Listing, Split
from lsdc.errors import DataError

_ID = re.compile(r"0*[0-9]{1,18}")
_IMAGES = re.compile(r"(train|test)_images", re.IGNORECASE)
# The number of an instance in a file's name: `7`, `7.dcm`, `007.IMA`.
NAME_NUMBER = r"^0*([0-9]{1,18})(?:\.[A-Za-z][A-Za-z0-9]*)?$"


@dataclass(frozen=True)
class Layout:
    """Where a competition's images lie.

    Attributes:
        images: folders, as tables name them, with the split whose images they hold.
        listed: the pairs (study, series) that the tables list, by split.
    """

    images: Mapping[str, str]
    listed: Mapping[str, frozenset[tuple[int, int]]]

    def place(self, folder: str) -> tuple[str, int, int] | None:
        """The split, study and series that a folder belongs to; None outside the layout.

        Of the numbers among its folders below `{split}_images`, the first that the tables list as a
        study counts, and the first after it that they list as a series of that study; where they
        list none, the first two numbers.

        Args:
            folder: as tables name it (see `lsdc.dicom.names`).
        """
        found = self._below_images(folder)
        if found is None:
            return None
        split, inner = found
        ids = [int(name) for name in inner if _ID.fullmatch(name)]
        pairs = self._listed_pairs(split, ids) or list(combinations(ids, 2))
        return (split, *pairs[0]) if pairs else None

    def place_study(self, folder: str) -> tuple[str, int] | None:
        """The split and the listed study that a folder belongs to; None where it is of none."""
        split, inner = self._below_images(folder) or ("", ())
        ids = [int(name) for name in inner if _ID.fullmatch(name)]
        return next(((split, one) for one in ids if one in self.studies(split)), None)

    def studies(self, split: str) -> frozenset[int]:
        """The studies that the tables list for a split."""
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
        """The folders of listed studies: mostly one each, none where a study has no images.

        Args:
            split: whose images.
            studies: ids; others are left out.

        Raises:
            DataError: a study is nowhere, and may be in a folder that may not be read.
            OSError: the system cannot read a folder just now.
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
                f"{min(closed)}: may not be read, and {missing} listed studies are nowhere else; "
                "give the user that runs this the right to read it, or move it away"
            )
        return {study: sorted(found[study]) for study in sorted(found)}

    def all_study_folders(self) -> list[Path]:
        """The folders of all listed studies, those of training first."""
        splits: tuple[Split, ...] = ("train", "test")
        found = [self.study_folders(split, self.studies(split)) for split in splits]
        return [folder for each in found for own in each.values() for folder in own]


class _AnyLayout(Layout):
    """Of a tree without tables: `{split}_images` may be any folder of a path."""

    def _below_images(self, folder: str) -> tuple[str, Sequence[str]] | None:
        names = folder.split("/")
        for place in range(len(names) - 1, -1, -1):
            if found := _IMAGES.fullmatch(names[place]):
                return found[1].lower(), names[place + 1 :]
        return None


def layout_of(listing: Listing | None) -> Layout:
    """Find the folders of images of a listing.

    They are `train_images` and `test_images` in its folder or, where one is not there, in the
    folders of this one.

    Args:
        listing: the opened tables; None for a tree without tables.

    Raises:
        DataError: there are no training images, unless in a folder that may not be read.
        OSError: the system cannot read a folder just now.
    """
    if listing is None:
        return _AnyLayout({}, {})
    images: dict[str, str] = {}
    closed: list[Path] = []
    inner = _folders_in(listing.root.absolute(), closed)
    for split in ("train", "test"):
        name = f"{split}_images"
        own = [each for each in inner if each.name.lower() == name]
        own = own or [
            each
            for folder in inner
            for each in _folders_in(folder, closed)
            if each.name.lower() == name
        ]
        images |= {escape_name(folder): split for folder in own}
    if closed and "train" not in images.values():
        raise DataError(
            f"{closed[0]}: may not be read, and train_images is nowhere else; give the user that "
            "runs this the right to read it, or move it away"
        )
    listed = {
        str(split): frozenset(rows.select("study_id", "series_id").iter_rows())
        for (split,), rows in listing.series.group_by("split")
    }
    return Layout(images, {"train": frozenset(), "test": frozenset()} | listed)


def place_folders(folders: pl.Series, layout: Layout) -> pl.DataFrame:
    """What the layout says of folders: split, study_id, series_id, null outside of it."""
    places = [layout.place(folder) or (None, None, None) for folder in folders]
    schema = {"split": pl.String, "study_id": pl.Int64, "series_id": pl.Int64}
    return pl.DataFrame(places, schema=schema, orient="row")


def _listed_below(
    images: Path, listed: Collection[int], closed: list[Path]
) -> Iterator[tuple[int, Path]]:
    """The folders named as a listed study, without a look into these; `closed` takes others."""
    waiting, seen = [images], set[Path]()
    while waiting:
        folder = waiting.pop()
        if (real := folder.resolve()) in seen:
            continue  # links may lead round in a circle
        seen.add(real)
        for inner in _folders_in(folder, closed):
            if _ID.fullmatch(inner.name) and int(inner.name) in listed:
                yield int(inner.name), inner
            else:
                waiting.append(inner)


def _folders_in(folder: Path, closed: list[Path] | None = None) -> list[Path]:
    """The folders in a folder, by name; none where it is gone, or may not be read.

    Args:
        folder: whose.
        closed: takes those that may not be read.

    Raises:
        OSError: the system cannot read it just now.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if is_folder(entry))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        if may_pass(error):
            raise
        if closed is not None:
            closed.append(folder)
        return []


def _path_of(name: str) -> Path:
    return Path(os.fsdecode(unescape_name(name)))
