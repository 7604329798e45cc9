"""Unfinished work: what a stopped prediction has done, so that the same command goes on.

Each block of studies has a folder. Its `done.json` is written last, so a folder without it is of a
block that was not finished, and is removed.
"""

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import polars as pl
from pydantic import TypeAdapter

from lsdc.dicom.names import escape_name
from lsdc.errors import DataError, SettingsError
from lsdc.store.exact_names import read_parquet
from lsdc.store.files import digest_file, write_text
from lsdc.store.fingerprint import fingerprint, fingerprint_code, fingerprint_libraries

FOLDER = ".unfinished"
_KEY, _DONE = "key.txt", "done.json"
_BAD, _OTHERS = "unusable.parquet", "others.parquet"

Study = TypeVar("Study")


@dataclass(frozen=True)
class Block(Generic[Study]):
    """A block of studies that is done.

    Attributes:
        folder: the folder of its tables.
        studies: what is known of its studies.
        quarantine: the files that cannot be used.
        others: the files that are no slices, or copies.
    """

    folder: Path
    studies: Sequence[Study]
    quarantine: pl.DataFrame
    others: pl.DataFrame


@contextmanager
def unfinished(out: Path, key: str) -> Iterator[Path]:
    """Yield a folder inside `out` that is removed if the block ends without error.

    What an earlier block left there stays if its key was the same, else it is removed. After an
    error of a study's data or the settings, nothing is kept unless a block is done.
    """
    folder = out / FOLDER
    if not (folder / _KEY).is_file() or (folder / _KEY).read_text(encoding="utf-8") != key:
        _remove(folder)
        folder.mkdir()
        write_text(folder / _KEY, key)
    for left in [*folder.rglob(".writing-*")]:
        shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
    try:
        yield folder
    except (DataError, SettingsError):
        if not any(folder.glob(f"block-*/{_DONE}")):
            _remove(folder)
        raise
    _remove(folder)


def _remove(folder: Path) -> None:
    """Remove unfinished work; killed in between, it does not count as complete."""
    (folder / _KEY).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def work_key(
    root: Path,
    files: pl.DataFrame,
    *,
    code: Sequence[str],
    libraries: Sequence[str],
    weights: Sequence[Path],
    uses: Mapping[str, Any],
) -> str:
    """Return a fingerprint of all that a prediction depends on.

    Args:
        root: the folder that is read.
        files: path, size and time of each file that may be read.
        code: the modules that predict.
        libraries: the libraries whose versions count.
        weights: the files of the models.
        uses: all else that counts.
    """
    return fingerprint(
        {
            **uses,
            "code": fingerprint_code(code),
            "libraries": fingerprint_libraries(libraries),
            "root": escape_name(root.absolute()),
            "files": hashlib.sha256(files.write_csv().encode()).hexdigest(),
            "weights": [digest_file(path) for path in weights],
        }
    )


def done_blocks(folder: Path, adapter: TypeAdapter[list[Study]]) -> list[Block[Study]]:
    """Return the blocks that are done, in their order; remove all others.

    Args:
        folder: the folder of unfinished work.
        adapter: reads what `keep_block` wrote of the studies.
    """
    blocks: list[Block[Study]] = []
    for path in sorted(folder.glob("block-*")):
        if path != block_folder(folder, len(blocks)) or not (path / _DONE).is_file():
            shutil.rmtree(path)
            continue
        studies = adapter.validate_json((path / _DONE).read_bytes())
        tables = (read_parquet(path / name) for name in (_BAD, _OTHERS))
        blocks.append(Block(path, studies, *tables))
    return blocks


def block_folder(folder: Path, number: int) -> Path:
    """Return the folder of the block with this number, from 0."""
    return folder / f"block-{number:06d}"


def keep_block(block: Block[Study], adapter: TypeAdapter[list[Study]]) -> None:
    """Write what is known of a block into its folder: it is done, whatever stops the prediction."""
    block.quarantine.write_parquet(block.folder / _BAD)
    block.others.write_parquet(block.folder / _OTHERS)
    write_text(block.folder / _DONE, adapter.dump_json([*block.studies]).decode())
