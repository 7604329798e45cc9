"""Sources: the fragments of a folder, of the competition's layout or of any other.

A folder with the competition's sample submission has its fragments in `test/`. Elsewhere, each
folder with layers in `surface_volume/` is a fragment, wherever it is below the folder.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lsdc.challenges.ink.competition.tables import (
    INFRARED,
    LABELS,
    LAYER_NAME,
    MASK,
    SAMPLE,
    VOLUME,
    fragment_folders,
    natural_order,
    wanted_rows,
)
from lsdc.challenges.ink.volumes.usable import find_layers
from lsdc.dicom.names import escape_name, unescape_name
from lsdc.errors import DataError
from lsdc.messages import counted
from lsdc.predict.files import list_files, list_tables

_FILES = {"path": pl.String, "fragment": pl.String, "layer": pl.Int32}
_OTHERS = {LABELS: "labels", INFRARED: "infrared picture"}


@dataclass(frozen=True)
class Source:
    """The fragments of a folder.

    Attributes:
        folders: the folder of each fragment by its id, in natural order.
        files: path, fragment and layer of the files of layers and masks; a mask has no layer.
        others: path and `what` of all other files.
    """

    folders: Mapping[str, Path]
    files: pl.DataFrame
    others: pl.DataFrame

    @property
    def blocks(self) -> Sequence[Sequence[str]]:
        """The fragments to be predicted one after the other."""
        return [[name] for name in self.folders]


def list_inputs(root: Path, *, leave_out: Path) -> pl.DataFrame:
    """Return path, bytes and mtime_ns of the files that a prediction may read below a folder.

    Args:
        root: the folder.
        leave_out: a folder to skip wherever it is.

    Raises:
        DataError: its sample submission cannot be read.
    """
    tested = _test_folders(root)
    if not tested:
        return list_files(root, leave_out=leave_out)
    files = list_files(root / "test", leave_out=leave_out)
    return pl.concat([files, list_tables([root / SAMPLE])])


def open_source(root: Path, *, leave_out: Path, may_be_empty: bool) -> Source:
    """Find the fragments below a folder.

    Args:
        root: the folder.
        leave_out: a folder to skip wherever it is, such as that of the results.
        may_be_empty: whether a folder without a fragment is accepted, as a submission needs.

    Raises:
        DataError: the folder holds no fragment, or its sample submission cannot be read.
    """
    root = root.absolute()
    tested = _test_folders(root)
    listed = list_files(root / "test" if tested else root, leave_out=leave_out)["path"]
    folders = tested or _folders_with_layers(listed)
    if not folders and not may_be_empty:
        raise DataError(
            f"{root}: none of {counted(len(listed), 'file')} below it is a layer in {VOLUME}/, "
            f"expected fragments somewhere below it, each with {VOLUME}/00.tif to 64.tif and "
            f"{MASK}; give another folder"
        )
    named = dict(zip(_ids(folders, root), folders, strict=True))
    files = pl.DataFrame(list(_files_of(named)), schema=_FILES, orient="row")
    files = files.filter(pl.col("path").is_in(listed.implode()))
    others = listed.filter(~listed.is_in(files["path"].implode()))
    what = [_describe(path) for path in others]
    return Source(
        named, files, pl.DataFrame({"path": others, "what": pl.Series(what, dtype=pl.String)})
    )


def _test_folders(root: Path) -> list[Path]:
    """Return the folders of the competition's test fragments; none in any other folder."""
    return fragment_folders(root / "test") if wanted_rows(root) else []


def _folders_with_layers(files: pl.Series) -> list[Path]:
    layers = f"^(.*)/{VOLUME}/(?i:{LAYER_NAME.pattern})$"  # not `._00.tif` of an archive
    found = files.str.extract(layers).drop_nulls().unique()
    return [Path(os.fsdecode(unescape_name(each))) for each in sorted(found, key=natural_order)]


def _ids(folders: Sequence[Path], root: Path) -> list[str]:
    """Return the name of each folder; its path below the root where another has that name."""
    counts = Counter(folder.name for folder in folders)
    return [
        escape_name(each.name if counts[each.name] == 1 else os.path.relpath(each, root))
        for each in folders
    ]


def _files_of(folders: Mapping[str, Path]) -> Iterator[tuple[str, str, int | None]]:
    for name, folder in folders.items():
        yield escape_name(folder / MASK), name, None
        for layer, path in find_layers(folder).items():
            yield escape_name(path), name, layer


def _describe(path: str) -> str:
    name = path.rpartition("/")[2]
    return _OTHERS.get(name) or f"{Path(name).suffix or 'other'} file"
