"""Unfinished work: what a stopped prediction has done, so that the same command goes on.

Each block of studies has a folder. Its `done.json` is written last, so a folder without it is of a
block that was not finished, and is removed.
"""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from pydantic import TypeAdapter

from lsdc.challenges.lumbar.predict.block import Prepared
from lsdc.challenges.lumbar.predict.models import EnsembleModels, Models
from lsdc.challenges.lumbar.predict.outcome import StudyOutcome
from lsdc.challenges.lumbar.predict.queues import Queues
from lsdc.challenges.lumbar.predict.sources import list_inputs
from lsdc.dicom.names import escape_name
from lsdc.errors import DataError, SettingsError
from lsdc.store.exact_names import read_parquet
from lsdc.store.files import digest_file, write_text
from lsdc.store.fingerprint import fingerprint, fingerprint_code, fingerprint_libraries

FOLDER = ".unfinished"
_KEY, _DONE = "key.txt", "done.json"
_BAD, _OTHERS = "unusable.parquet", "others.parquet"
_CODE = ("lsdc.challenges.lumbar.predict.studies",)
_LIBRARIES = ("numpy", "opencv-python-headless", "polars", "timm", "torch")
_OUTCOMES = TypeAdapter(list[StudyOutcome])


@dataclass(frozen=True)
class Block:
    """A block that is done, its last samples apart, which wait for those of the next block.

    Attributes:
        folder: the folder of its tables; see `Prepared`.
        studies: what is known of its studies.
        quarantine: the files that cannot be used.
        others: the files that are no slices, or copies.
    """

    folder: Path
    studies: Sequence[StudyOutcome]
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
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        write_text(folder / _KEY, key)
    for left in [*folder.rglob(".writing-*")]:
        shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
    try:
        yield folder
    except (DataError, SettingsError):
        if not any(folder.glob(f"block-*/{_DONE}")):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def work_key(root: Path, models: Models, out: Path, *, arguments: Sequence[str | int]) -> str:
    """Return a fingerprint of all that a prediction depends on.

    Args:
        root: the folder that is read.
        models: the models.
        out: the folder of the results.
        arguments: the other arguments of `predict_studies` that count.
    """
    files = list_inputs(root, leave_out=out)
    points = [each.points for each in models.each]
    folders = [*models.folds.values(), *points]
    weights = [path for folder in folders for path in sorted(folder.glob("*.safetensors"))]
    weights += [path for folder in points for path in sorted(folder.glob("*.json"))]
    joined = (models.ensemble, models.labels) if isinstance(models, EnsembleModels) else None
    return fingerprint(
        {
            "code": fingerprint_code(_CODE),
            "libraries": fingerprint_libraries(_LIBRARIES),
            "root": escape_name(root.absolute()),
            "files": hashlib.sha256(files.write_csv().encode()).hexdigest(),
            "run": models.name,
            "experiments": [each.experiment for each in models.each],
            "ensemble": joined,
            "folds": list(models.folds),
            "weights": [digest_file(path) for path in weights],
            "prior": models.prior.write_csv(),
            "arguments": list(arguments),
        }
    )


def done_blocks(folder: Path, queue: Queues) -> list[Block]:
    """Return the blocks that are done, give their predictions to the queue, remove all else."""
    blocks: list[Block] = []
    for path in sorted(folder.glob("block-*")):
        if path != block_folder(folder, len(blocks)) or not (path / _DONE).is_file():
            shutil.rmtree(path)
            continue
        blocks.append(
            Block(
                path,
                _OUTCOMES.validate_json((path / _DONE).read_bytes()),
                read_parquet(path / _BAD),
                read_parquet(path / _OTHERS),
            )
        )
    queue.restore([block.folder for block in blocks])
    return blocks


def block_folder(folder: Path, number: int) -> Path:
    """Return the folder of the block with this number, from 0."""
    return folder / f"block-{number:06d}"


def keep_block(prepared: Prepared, studies: Sequence[StudyOutcome], queue: Queues) -> Block:
    """Write what is known of a block's studies, and what the queue predicted since the last one."""
    folder = prepared.folder
    prepared.studies.quarantine.write_parquet(folder / _BAD)
    prepared.studies.others.write_parquet(folder / _OTHERS)
    queue.save(folder)
    write_text(folder / _DONE, _OUTCOMES.dump_json(list(studies)).decode())
    return Block(folder, studies, prepared.studies.quarantine, prepared.studies.others)
