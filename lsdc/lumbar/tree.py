"""A tree: all files below any folder, indexed into the home's catalog.

Nothing is read twice: a file whose size and mtime stand is known, and where all stands, so does
the catalog.
"""

import hashlib
import inspect
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from lsdc.dicom.header_table import reading_version
from lsdc.dicom.names import escape_name
from lsdc.dicom.walk import list_tree
from lsdc.errors import DataError
from lsdc.geometry import planes
from lsdc.lumbar import image_use, index, index_tables, instances, series
from lsdc.lumbar.catalog_tables import CATALOG
from lsdc.lumbar.index import Progress, open_headers, read_files
from lsdc.lumbar.index_tables import IndexTables
from lsdc.lumbar.instances import place_files
from lsdc.lumbar.quarantine import check_bad_files, is_stranger
from lsdc.lumbar.tables import Competition
from lsdc.store.catalog import catalogued, is_shown, publish_catalog
from lsdc.store.files import write_atomic, write_folder
from lsdc.store.home import Home
from lsdc.store.manifest import Manifest, seal, settle

_NOTE = "tree.json"
# What makes tables of headers.
_CODE = (image_use, index, index_tables, instances, series, planes)


@dataclass(frozen=True)
class Indexed:
    """What came of indexing a tree.

    Attributes:
        files: entries that are no folders.
        read: those of them whose header was read this time.
        instances: usable files.
        quarantined: all others.
        state: changes with any file, table or code that decides what the index says.
    """

    files: int
    read: int
    instances: int
    quarantined: int
    state: str


def index_tree(
    root: Path,
    out: Path,
    *,
    competition: Competition | None = None,
    headers: Path | None = None,
    known: Indexed | None = None,
    processes: int = 2,
    max_bad: float = 0.01,
    on_progress: Progress | None = None,
) -> Indexed:
    """Index every file below a folder and write the four tables of `build_index` into `out`.

    Bad files are counted where they ought to be good: among the `.dcm` files of listed series; in
    a tree without tables, among all `.dcm` files and all others that begin as DICOM does.

    Args:
        root: an existing folder.
        out: an existing folder.
        competition: the tables, if the folder has some.
        headers: a folder that keeps headers from one time to the next; none are kept without.
        known: what came of it the last time; where nothing has changed since, no table is written.
        processes: how many children read.
        max_bad: the share of bad files that is too much.
        on_progress: called with files read and files to be read.

    Raises:
        DataError: there is no such folder.
        StageError: more than `max_bad` of the files, and at least 10, cannot be used; no table is
            written.
    """
    root = root.absolute()
    if not root.is_dir():
        raise DataError(f"{root}: no such folder, expected one with DICOM files somewhere below it")
    listed = competition.series if competition else None
    with tempfile.TemporaryDirectory() as nowhere:
        rows = open_headers(headers or Path(nowhere), root)
        files = place_files(list_tree(root, with_status=not rows.is_empty), listed)
        kept, read = read_files(rows, files, processes=processes, on_progress=on_progress)
        state = _state(root, kept, competition)
        if known is not None and not read and known.state == state:
            return Indexed(**{**asdict(known), "read": 0})
        tables = IndexTables(out, competition.annotations if competition else None)
        tables.fill(kept, files)
        bad, total = _where_good_is_expected(
            files, tables.quarantine, has_tables=listed is not None
        )
        check_bad_files("index", bad, total=total, max_bad=max_bad)
        rows.keep_only(kept, len(files))
        usable = tables.close(listed)
    return Indexed(len(files), read, usable, len(tables.quarantine), state)


def catalog_tree(
    root: Path,
    home: Home,
    *,
    competition: Competition | None = None,
    processes: int = 2,
    max_bad: float = 0.01,
    on_progress: Progress | None = None,
) -> Indexed:
    """Index every file below a folder into the home's catalog; only under the build lock.

    The catalog then holds the four tables of this tree beside what it held of runs and of others.

    Args:
        root: an existing folder.
        home: keeps headers, tables and catalog.
        competition: the tables, if the folder has some.
        processes: how many children read.
        max_bad: the share of bad files that is too much.
        on_progress: called with files read and files to be read.

    Raises:
        DataError: there is no such folder.
        StageError: more than `max_bad` of the files, and at least 10, cannot be used.
    """
    with write_folder(home.root / "index") as out:
        indexed = index_tree(
            root,
            out,
            competition=competition,
            headers=home.headers,
            known=_known(home, root),
            processes=processes,
            max_bad=max_bad,
            on_progress=on_progress,
        )
        if any(out.iterdir()):
            with write_atomic(out / _NOTE) as temporary:
                note = asdict(indexed) | {"read": 0}  # the same result, however it came about
                temporary.write_text(json.dumps(note), encoding="utf-8")
            _publish(home, root, settle(home.root, "index", out, rows=indexed.instances))
        elif not is_shown(home, catalog_name(root)):
            tables = tree_tables(home, root)
            names = [path.name for path in tables.iterdir()]
            sealed = seal(home.root, "index", tables, rows=indexed.instances, names=names)
            _publish(home, root, sealed)
    return indexed


def catalog_name(root: Path) -> str:
    """Whose rows those of a tree are in the catalog."""
    return escape_name(root.absolute())


def tree_tables(home: Home, root: Path) -> Path:
    """The folder with the tables of a tree that is in the catalog.

    Raises:
        DataError: there is none.
    """
    folder = _folder(home, root)
    if folder is None:
        raise DataError(f"{home.root}: {root} is not indexed here; 'lsdc index DIR' indexes one")
    return folder


def _publish(home: Home, root: Path, tables: Manifest) -> None:
    publish_catalog(home, catalog_name(root), [tables], CATALOG, kind="folder")


def _folder(home: Home, root: Path) -> Path | None:
    """Where the result lies that the catalog was loaded from."""
    digests = catalogued(home, catalog_name(root), "index")
    folders = [home.root / "index" / digest[:16] for digest in digests]
    return folders[0] if len(folders) == 1 and (folders[0] / _NOTE).is_file() else None


def _known(home: Home, root: Path) -> Indexed | None:
    folder = _folder(home, root)
    if folder is None:
        return None
    try:
        return Indexed(**json.loads((folder / _NOTE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None  # another version's, or damaged


def _state(root: Path, headers: pl.LazyFrame, competition: Competition | None) -> str:
    digest = hashlib.blake2b(digest_size=16)
    files = headers.select("path", "bytes", "mtime_ns").sort("path").collect()
    digest.update("\0".join(files["path"]).encode())
    for column in ("bytes", "mtime_ns"):
        digest.update(files[column].fill_null(-1).to_numpy().tobytes())
    if competition is not None:
        for table in (competition.series, competition.annotations):
            digest.update(table.write_csv().encode())
    for text in (escape_name(root), reading_version(), *map(inspect.getsource, _CODE)):
        digest.update(text.encode())
    return digest.hexdigest()


def _where_good_is_expected(
    files: pl.DataFrame, quarantine: pl.DataFrame, *, has_tables: bool
) -> tuple[pl.DataFrame, int]:
    """The bad files among those that ought to be good, and how many ought to."""
    if has_tables:
        wanted = pl.col("listed") & pl.col("path").str.ends_with(".dcm")
        return quarantine.filter(wanted), len(files.filter(wanted))
    bad = quarantine.filter(~is_stranger())
    return bad, len(files) - len(quarantine) + len(bad)
