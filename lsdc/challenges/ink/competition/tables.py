"""Find the fragments in a competition's folder, and read which of them to predict.

train/1/surface_volume/00.tif ... 64.tif    the layers
train/1/mask.png                            where there is data
train/1/inklabels.png                       the labels
test/a/surface_volume/, mask.png            the same without labels
sample_submission.csv                       `Id,Predicted`: the fragments to predict
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from lsdc.challenges.ink.competition.pictures import Mask, picture_shape, read_bands
from lsdc.challenges.ink.vocabulary import LAYERS, SPLITS, Split
from lsdc.errors import DataError
from lsdc.messages import first_few
from lsdc.tables import checked_csv

ID, PREDICTED = "Id", "Predicted"  # the columns of the competition's tables
VOLUME, MASK, LABELS, INFRARED = "surface_volume", "mask.png", "inklabels.png", "ir.png"
SAMPLE, RUNS = "sample_submission.csv", "inklabels_rle.csv"

LAYER_NAME = re.compile(r"([0-9]+)\.tiff?", re.IGNORECASE)


@dataclass(frozen=True, order=True)
class Fragment:
    """One fragment of papyrus: a folder of layers and pictures of one frame.

    Attributes:
        name: the folder's name, which is also the fragment's id in tables.
        split: train or test.
        folder: the folder.
        shape: rows and columns of the frame, as the mask has them.
    """

    name: str
    split: Split
    folder: Path
    shape: tuple[int, int]

    @property
    def mask(self) -> Path:
        """The picture of where there is data."""
        return self.folder / MASK

    @property
    def labels(self) -> Path:
        """The picture of the labels, which test fragments lack."""
        return self.folder / LABELS

    def __str__(self) -> str:
        return f"{self.split}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class Competition:
    """A competition's folder and its fragments; the test split may be empty.

    Attributes:
        root: the folder.
        training: the fragments with labels, in natural order (2 before 10).
        testing: the fragments to predict, in the order of the sample submission.
        not_asked_for: the names of further test fragments, which the sample submission does not
            list.
    """

    root: Path
    training: tuple[Fragment, ...]
    testing: tuple[Fragment, ...]
    not_asked_for: tuple[str, ...] = field(default=())

    @property
    def fragments(self) -> tuple[Fragment, ...]:
        """All fragments, training ones first."""
        return self.training + self.testing

    @property
    def row_ids(self) -> tuple[str, ...]:
        """The ids of the sample submission, in its order."""
        return tuple(fragment.name for fragment in self.testing)


def is_competition(root: Path) -> bool:
    """Return whether a folder has fragments, complete or not."""
    return any(
        (each / VOLUME).is_dir() or (each / LABELS).is_file()
        for split in SPLITS
        for each in fragment_folders(root / split)
    )


def asks_for_rows(root: Path) -> bool:
    """Return whether a competition's folder has a sample submission with any row.

    Raises:
        DataError: the file cannot be read.
    """
    return bool(wanted_rows(root))


def wanted_rows(root: Path) -> list[str]:
    """Return the ids of a folder's sample submission, in its order; none without it.

    Raises:
        DataError: the file cannot be read, or an id is empty or repeated.
    """
    path = root / SAMPLE
    if not path.is_file():
        return []
    table = checked_csv.read_csv(path, [ID, PREDICTED])
    empty = pl.col(ID).is_null()
    checked_csv.refuse_cells(table, empty, ID, str(path), "the name of a test fragment")
    checked_csv.refuse_repeats(table, [ID], str(path))
    return table[ID].to_list()


def open_competition(root: Path) -> Competition:
    """Find the fragments of a competition's folder; read the headers of their masks and labels.

    The sample submission may be absent or empty: the competition is then for training only. The
    layers are only listed, see `lsdc.challenges.ink.volumes.layers` for their frames.

    Raises:
        DataError: the folder or all training fragments are missing; a fragment lacks its mask,
            labels or layers; its labels have another frame than its mask; a fragment to predict has
            no folder; or two fragments have one name.
    """
    if not root.is_dir():
        raise DataError(
            f"{root}: no such folder, expected one with train/, test/ and {SAMPLE}; give it as "
            "--data"
        )
    training = {each.name: each for each in fragment_folders(root / "train")}
    if not training:
        raise DataError(
            f"{root / 'train'}: no fragment, expected folders such as train/1 with {VOLUME}/, "
            f"{MASK} and {LABELS}; copy them into it"
        )
    testing = {each.name: each for each in fragment_folders(root / "test")}
    if twice := sorted(training.keys() & testing.keys(), key=natural_order):
        raise DataError(
            f"{root}: {first_few(twice, 'fragment')} in train/ and in test/, expected each name "
            "once; rename one of the folders"
        )
    wanted = wanted_rows(root)
    if missing := [name for name in wanted if name not in testing]:
        raise DataError(
            f"{root / SAMPLE}: {first_few(missing, 'fragment')} without a folder in "
            f"{root / 'test'}, expected test/{missing[0]}/{VOLUME} and {MASK}; copy them into it, "
            "or remove the row"
        )
    return Competition(
        root=root,
        training=tuple(_open_fragment(each, "train") for each in training.values()),
        testing=tuple(_open_fragment(testing[name], "test") for name in wanted),
        not_asked_for=tuple(name for name in testing if name not in wanted),
    )


def list_layers(fragment: Path) -> list[Path]:
    """Return the files of a fragment's layers, 00 first.

    Args:
        fragment: the fragment's folder.

    Raises:
        DataError: there is no folder of layers, a layer is missing or has two files, or there are
            further layers.
    """
    folder = fragment / VOLUME
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder, expected 00.tif to {LAYERS - 1}.tif; copy it again"
        )
    found: dict[int, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if match := LAYER_NAME.fullmatch(path.name):
            found.setdefault(int(match[1]), []).append(path)
    missing = [f"{number:02}.tif" for number in range(LAYERS) if number not in found]
    if missing:
        raise DataError(
            f"{folder}: {first_few(missing, 'layer')} missing, expected 00.tif to "
            f"{LAYERS - 1}.tif; copy the folder again"
        )
    spare = [paths[-1].name for n, paths in found.items() if n >= LAYERS or len(paths) > 1]
    if spare:
        raise DataError(
            f"{folder}: {first_few(spare, 'file')} besides the {LAYERS} layers, expected 00.tif to "
            f"{LAYERS - 1}.tif, each once; remove the others"
        )
    return [found[number][0] for number in range(LAYERS)]


def labelled_fragments(root: Path) -> dict[str, Path]:
    """Return the pictures of labels in a competition's folder by fragment; reads none of them.

    Raises:
        DataError: there is none.
    """
    folders = fragment_folders(root / "train")
    found = {each.name: each / LABELS for each in folders if (each / LABELS).is_file()}
    if not found:
        raise DataError(
            f"{root}: no labels, expected train/ID/{LABELS} for each fragment; give the "
            "competition's folder as --data"
        )
    return found


def natural_order(name: str) -> tuple[tuple[int, str], ...]:
    """Return a key by which names sort as people do: 2 before 10.

    >>> sorted(["b", "10", "2"], key=natural_order)
    ['2', '10', 'b']
    """
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return tuple((int(part), "") if part.isdecimal() else (2**63, part) for part in parts)


def fragment_folders(parent: Path) -> list[Path]:
    """Return the folders in a split's folder, hidden ones excepted, in natural order."""
    if not parent.is_dir():
        return []
    found = [each for each in parent.iterdir() if each.is_dir() and each.name[0] not in "._"]
    return sorted(found, key=lambda each: natural_order(each.name))


def _open_fragment(folder: Path, split: Split) -> Fragment:
    list_layers(folder)
    fragment = Fragment(folder.name, split, folder, picture_shape(folder / MASK))
    if split == "train":
        _require_frame(fragment, fragment.labels)
    return fragment


def read_picture(fragment: Fragment, path: Path) -> Iterator[Mask]:
    """Yield bands of rows of a fragment's mask or labels from the top, (rows, columns).

    Raises:
        DataError: see `read_bands`; or it has another frame than the fragment.
    """
    _require_frame(fragment, path)
    yield from read_bands(path)


def _require_frame(fragment: Fragment, path: Path) -> None:
    if (shape := picture_shape(path)) != fragment.shape:
        raise DataError(
            f"{path}: {describe_shape(shape)}, expected {describe_shape(fragment.shape)} as in "
            f"{MASK}; copy both again"
        )


def describe_shape(shape: tuple[int, int]) -> str:
    """Return a frame for messages.

    >>> describe_shape((8181, 6330))
    '8181 rows by 6330 columns'
    """
    return f"{shape[0]} rows by {shape[1]} columns"
