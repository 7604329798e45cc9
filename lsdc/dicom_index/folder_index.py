"""Folder index: index all files below any folder into the home's catalog.

Nothing is read twice: headers are cached while a file's size and mtime match, and if nothing has
changed, the catalog is kept.
"""

import hashlib
import inspect
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from lsdc.dicom.header_table import reading_version
from lsdc.dicom.names import escape_name
from lsdc.dicom.walk import list_tree
from lsdc.dicom_index import (
    image_use,
    index,
    instance_table,
    instances,
    layout,
    localizers,
    other_files,
    quarantine,
    series,
    series_kinds,
    twins,
    unusable,
)
from lsdc.dicom_index import tables as index_tables
from lsdc.dicom_index.index import Index, Progress, open_headers, read_files
from lsdc.dicom_index.instances import place_files
from lsdc.dicom_index.layout import layout_of
from lsdc.dicom_index.listing import Listing
from lsdc.dicom_index.other_files import set_aside
from lsdc.dicom_index.quarantine import count_files, refuse_bad_files
from lsdc.dicom_index.tables import IndexTables
from lsdc.dicom_index.twins import Twins, find_twins
from lsdc.errors import DataError
from lsdc.geometry import planes
from lsdc.store.catalog import catalogued, is_shown, publish_catalog
from lsdc.store.exact_names import scan_parquet
from lsdc.store.files import write_atomic, write_folder
from lsdc.store.home import Home
from lsdc.store.manifest import Manifest, make_manifest, store_folder
from lsdc.store.table_files import write_table
from lsdc.tables.table import Table

_NOTE = "tree.json"
# The code that makes tables from headers.
_CODE = (
    *(image_use, index, index_tables, instance_table, instances, layout, localizers),
    *(other_files, quarantine, series, series_kinds, twins, unusable, planes),
)


@dataclass(frozen=True)
class Indexed:
    """The result of indexing a tree.

    Attributes:
        files: the number of entries that are not folders.
        read: the number of files whose header was read this time.
        instances: the number of usable images.
        quarantined: the number of unusable files.
        others: the number of files that are not slices, and of copies.
        state: a fingerprint of all files, tables and code that the index depends on.
    """

    files: int
    read: int
    instances: int
    quarantined: int
    others: int
    state: str


def index_tree(
    root: Path,
    out: Path,
    *,
    listing: Listing | None = None,
    headers: Path | None = None,
    known: Indexed | None = None,
    processes: int = 2,
    leave_out: Path | None = None,
    on_progress: Progress | None = None,
) -> Indexed:
    """Index every file below a folder and write the tables of `index.Index` into `out`.

    Args:
        root: an existing folder.
        out: an existing folder.
        listing: the competition's tables, if the folder has some.
        headers: a folder for cached headers; without it none are cached.
        known: the previous result; if nothing has changed since, no table is written.
        processes: the number of child processes.
        leave_out: a folder to skip wherever it is, such as the home.
        on_progress: called with the number of files read and of files to read.

    Raises:
        DataError: there is no such folder, or it is the one to leave out.
    """
    root = root.absolute()
    _require_tree(root, leave_out)
    places, listed = layout_of(listing), listing.series if listing else None
    with tempfile.TemporaryDirectory() as nowhere:
        rows = open_headers(headers or Path(nowhere), root)
        found = list_tree(
            root,
            with_status=not rows.is_empty,
            apart=places.all_study_folders(),
            leave_out=leave_out,
        )
        files, aside = set_aside(place_files(found, places, listed))
        kept, read = read_files(rows, files, processes=processes, on_progress=on_progress)
        state = _state(root, kept, aside, listing)
        if known is not None and not read and known.state == state:
            return Indexed(**{**asdict(known), "read": 0})
        tables = IndexTables(out, aside, listing)
        tables.fill(kept, files)
        rows.keep_only(kept, len(files))
        usable = tables.close(listed)
    found_twins = find_twins(scan_parquet(out / "instances.parquet"), processes=processes)
    write_table(Twins, found_twins, out / "twins.parquet")
    return Indexed(
        files=len(found),
        read=read,
        instances=usable,
        quarantined=len(tables.quarantine),
        others=len(tables.others),
        state=state,
    )


def _require_tree(root: Path, leave_out: Path | None) -> None:
    if not root.is_dir():
        raise DataError(f"{root}: no such folder, expected one with DICOM files somewhere below it")
    if leave_out is not None and leave_out.is_dir() and root.samefile(leave_out):
        raise DataError(
            f"{root}: this is the home of lsdc, expected a folder with images; give that folder, "
            "or choose another --home"
        )


def catalog_tree(
    root: Path,
    home: Home,
    catalog: Mapping[str, type[Table]],
    *,
    listing: Listing | None = None,
    processes: int = 2,
    on_progress: Progress | None = None,
) -> Indexed:
    """Index every file below a folder into the home's catalog; needs the build lock.

    The catalog then holds the tables of this tree in addition to those of runs and other trees.

    Args:
        root: an existing folder.
        home: the home for headers, tables and catalog; skipped if it is below the folder.
        catalog: the tables of the home's runs, including those of an index.
        listing: the competition's tables, if the folder has some.
        processes: the number of child processes.
        on_progress: called with the number of files read and of files to read.

    Raises:
        DataError: there is no such folder, or it is the home.
    """
    with write_folder(home.root / "index") as out:
        indexed = index_tree(
            root,
            out,
            listing=listing,
            headers=home.headers,
            known=_known(home, root),
            processes=processes,
            leave_out=home.root,
            on_progress=on_progress,
        )
        if any(out.iterdir()):
            with write_atomic(out / _NOTE) as temporary:
                note = asdict(indexed) | {"read": 0}  # independent of how much was read
                temporary.write_text(json.dumps(note), encoding="utf-8")
            _publish(
                home, root, catalog, store_folder(home.root, "index", out, rows=indexed.instances)
            )
        elif not is_shown(home, catalog_name(root)):
            tables = tree_tables(home, root)
            names = [path.name for path in tables.iterdir()]
            manifest = make_manifest(
                home.root, "index", tables, rows=indexed.instances, names=names
            )
            _publish(home, root, catalog, manifest)
    return indexed


def catalog_name(root: Path) -> str:
    """Return the name that marks a tree's rows in the catalog."""
    return escape_name(root.absolute())


def refuse_bad_tree(index: Index, listing: Listing | None, *, max_bad: float) -> None:
    """Refuse a tree with too many bad files among those expected to be good; keep its tables.

    In a competition the files of listed series are expected to be good, in other trees all slices.

    Raises:
        StageError: more than `max_bad` of these, and at least 10, cannot be used.
    """
    bad, good = index.quarantine, index.instances
    if listing is not None:
        bad = bad.join(listing.series, on=["study_id", "series_id"], how="semi")
        good = good.filter(pl.col("series_description").is_not_null())
    refuse_bad_files("index", bad, total=count_files(bad, good), max_bad=max_bad)


def tree_tables(home: Home, root: Path) -> Path:
    """Return the folder with the tables of a tree that is in the catalog.

    Raises:
        DataError: there is none.
    """
    folder = _folder(home, root)
    if folder is None:
        raise DataError(f"{home.root}: {root} is not indexed here; run 'lsdc index DIR' first")
    return folder


def _publish(home: Home, root: Path, catalog: Mapping[str, type[Table]], tables: Manifest) -> None:
    publish_catalog(home, catalog_name(root), [tables], catalog, kind="folder")


def _folder(home: Home, root: Path) -> Path | None:
    """Return the folder of the result that the catalog was loaded from, if any."""
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


def _state(root: Path, headers: pl.LazyFrame, aside: pl.DataFrame, listing: Listing | None) -> str:
    digest = hashlib.blake2b(digest_size=16)
    files = headers.select("path", "bytes", "mtime_ns").sort("path").collect()
    for names in (files["path"], aside["path"].sort()):
        digest.update("\0".join(names).encode() + b"\1")
    for column in ("bytes", "mtime_ns"):
        digest.update(files[column].fill_null(-1).to_numpy().tobytes())
    if listing is not None:
        for table in (listing.series, listing.annotations):
            digest.update(table.write_csv().encode())
        digest.update(repr(sorted(listing.kinds.items())).encode())
    for text in (escape_name(root), reading_version(), *map(inspect.getsource, _CODE)):
        digest.update(text.encode())
    return digest.hexdigest()
