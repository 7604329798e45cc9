"""Write trees to index, and check the tables of an index."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from polars.testing import assert_frame_equal
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

from lsdc.challenges.lumbar.competition.tables import Competition, open_competition
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS
from lsdc.dicom.names import escape_name, unescape_name
from lsdc.dicom_index.folder_index import Indexed, index_tree
from lsdc.dicom_index.index import join_index, listed_series, read_shard, require_usable
from lsdc.dicom_index.instance_table import Instances
from lsdc.dicom_index.listing import Listing, Split
from lsdc.dicom_index.other_files import OtherFiles
from lsdc.dicom_index.quarantine import Quarantine
from lsdc.dicom_index.series import Series
from lsdc.dicom_index.twins import Twins

Tables = dict[str, pl.DataFrame]

NAMES = ("instances", "series", "studies", "quarantine", "other_files", "twins")


def read_tables(folder: Path) -> Tables:
    """Return the tables of an index."""
    return {name: pl.read_parquet(folder / f"{name}.parquet") for name in NAMES}


def index(root: Path, out: Path, **options: Any) -> tuple[Indexed, Tables]:
    """Index a tree, check what is true of every index, and return the result and tables."""
    out.mkdir(exist_ok=True, parents=True)
    indexed = index_tree(root, out, **options)
    tables = read_tables(out)
    assert sorted(path.name for path in out.iterdir()) == sorted(
        f"{name}.parquet" for name in NAMES
    )
    check_whole(root, tables)
    names = ("instances", "quarantine", "other_files")
    assert indexed.files == len({path for name in names for path in tables[name]["path"]})
    assert indexed.instances == len(tables["instances"])
    assert indexed.quarantined == len(tables["quarantine"])
    assert indexed.others == len(tables["other_files"])
    return indexed, tables


def build_index(
    listing: Listing,
    split: Split,
    out: Path,
    *,
    limit: int | None = None,
    max_bad: float = 0.01,
    strict: bool = False,
    other_split: Path | None = None,
) -> int:
    """Index a split's listed series as the stage does, in one shard; return the rows of images."""
    listed = listed_series(listing, split, limit)
    with tempfile.TemporaryDirectory(dir=out) as shard:
        read_shard(listing, split, listed, Path(shard))
        images = join_index([Path(shard)], listing, split, listed, out, other_split=other_split)
    require_usable(out, listing, split, max_bad=max_bad, strict=strict)
    return images


def check_whole(root: Path, tables: Tables) -> None:
    """Check that every entry that is not a folder is in exactly one table.

    A multi-frame file has one row per usable frame, and one row for all its bad frames.
    """
    instances, series, studies, quarantine, others, twins = (tables[name] for name in NAMES)
    assert instances.schema == pl.Schema(Instances)
    assert series.schema == pl.Schema(Series)
    assert quarantine.schema == pl.Schema(Quarantine)
    assert others.schema == pl.Schema(OtherFiles)
    assert twins.schema == pl.Schema(Twins)
    usable, bad = set(instances["path"]), set(quarantine["path"])
    assert all(has_frames(path) for path in usable & bad)
    assert sorted([*(usable | bad), *others["path"]]) == sorted(entries(root))
    assert not instances.select("path", "frame").is_duplicated().any()
    assert quarantine["path"].is_unique().all()
    assert quarantine["reason"].null_count() == 0
    assert series["images"].sum() == studies["images"].sum() == len(instances)
    assert series["quarantined"].sum() <= len(quarantine)  # the series of some is not known
    for table, key in ((series, ["study_id", "series_id"]), (studies, ["study_id"])):
        assert not table.select("split", *key).is_duplicated().any()


def has_frames(path: str) -> bool:
    """Return whether a file has the tag of PerFrameFunctionalGroupsSequence, (5200,9230)."""
    content = Path(os.fsdecode(unescape_name(path))).read_bytes()
    return b"\x00\x52\x30\x92" in content or b"\x52\x00\x92\x30" in content


def entries(root: Path) -> list[str]:
    """Return the entries of a tree that are not folders; links must point into the tree.

    Folders without read permission are included. Names are escaped as in the tables.
    """
    found: list[str] = []
    denied: list[OSError] = []
    for folder, inner, names in os.walk(root, onerror=denied.append):
        found += (os.path.join(folder, name) for name in names)  # noqa: PTH118  # not UTF-8
        found += (
            path
            for name in inner
            if os.path.islink(path := os.path.join(folder, name))  # noqa: PTH114, PTH118
        )
    return [escape_name(path) for path in [*found, *(error.filename for error in denied)]]


def assert_same(found: Tables, expected: Tables) -> None:
    """Assert that the tables are equal, row by row."""
    for name in NAMES:
        assert_frame_equal(found[name], expected[name], check_exact=True)


def some_series(copy: Path, which: int = 0) -> Path:
    """Return a folder with more than four valid slices."""
    folders = sorted(path for path in (copy / "train_images").glob("*/*") if path.is_dir())
    return [folder for folder in folders if not (folder / "0.dcm").exists()][which]


def write_slice(
    path: Path,
    *,
    number: int | None = 1,
    position: Sequence[float] = (0, 0, 0),
    orientation: Sequence[float] = (1, 0, 0, 0, 1, 0),
    study: str = "100.1",
    series: str = "200.1",
    rows: int = 16,
    columns: int = 16,
    **tags: Any,
) -> Path:
    """Write an image of zeros."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    dataset = FileDataset(os.fspath(path), Dataset(), file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = "1.2.3"
    dataset.StudyInstanceUID = study
    dataset.SeriesInstanceUID = series
    dataset.InstanceNumber = number
    dataset.PatientPosition = "HFS"
    dataset.ImagePositionPatient = [*position]
    dataset.ImageOrientationPatient = [*orientation]
    dataset.PixelSpacing = [0.75, 0.5]
    dataset.Rows, dataset.Columns = rows, columns
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.PixelData = bytes(2 * rows * columns)
    dataset["PixelData"].VR = "OW"
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path)
    return path


def write_tables(root: Path, series: Sequence[tuple[str, str, str]]) -> Competition:
    """Write training tables of a competition from (study, series, description) rows."""
    root.mkdir(parents=True, exist_ok=True)
    cells = [f"{condition}_{level}" for condition in CONDITIONS for level in LEVELS]
    studies = dict.fromkeys(study for study, *_ in series)
    tables: dict[str, list[Sequence[str]]] = {
        "train": [
            ["study_id", *cells],
            *([study, *["Normal/Mild"] * len(cells)] for study in studies),
        ],
        "train_series_descriptions": [["study_id", "series_id", "series_description"], *series],
        "train_label_coordinates": [
            ["study_id", "series_id", "instance_number", "condition", "level", "x", "y"]
        ],
    }
    for name, rows in tables.items():
        text = "".join(f"{','.join(row)}\n" for row in rows)
        (root / f"{name}.csv").write_text(text, encoding="utf-8")
    return open_competition(root)
