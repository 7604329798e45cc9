"""Blocks of studies are predicted one after the other; a stopped prediction goes on after the last.

So the disk holds what models see of one block, and a kill costs one block at most.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from pydantic import TypeAdapter

from lsdc.messages import counted
from lsdc.predict.progress import Teller
from lsdc.predict.unfinished import Block, Study, block_folder, done_blocks, keep_block

log = logging.getLogger(__name__)

STUDIES_AT_ONCE = 64

Id = TypeVar("Id")
Id_contra = TypeVar("Id_contra", contravariant=True)


class Predictor(Protocol[Id_contra, Study]):
    """Predicts blocks of studies."""

    @property
    def adapter(self) -> TypeAdapter[list[Study]]:
        """Writes and reads what is known of the studies of a block."""
        ...

    def restore(self, blocks: Sequence[Block[Study]]) -> None:
        """Take up the work after these blocks, before any other is predicted."""
        ...

    def predict(self, ids: Sequence[Id_contra], folder: Path, *, is_last: bool) -> Block[Study]:
        """Predict some studies, with all that is to be kept of them in the block's folder.

        Args:
            ids: the studies.
            folder: the block's folder, which does not exist yet.
            is_last: whether no block follows.
        """
        ...


def split_studies(ids: Sequence[Id], size: int) -> list[list[Id]]:
    """Divide studies into blocks of at most this size.

    >>> split_studies([1, 2, 3], 2)
    [[1, 2], [3]]
    """
    return [[*ids[first : first + size]] for first in range(0, len(ids), size)]


def predict_blocks(
    predictor: Predictor[Id, Study], blocks: Sequence[Sequence[Id]], folder: Path, teller: Teller
) -> tuple[list[Block[Study]], int]:
    """Predict block by block, after those that are done.

    Args:
        predictor: predicts a block.
        blocks: the studies of each block.
        folder: the folder of unfinished work.
        teller: tells the progress.

    Returns:
        All blocks; and the number of studies that an earlier prediction had done.
    """
    done = done_blocks(folder, predictor.adapter)
    predictor.restore(done)
    sizes = [len(block) for block in blocks]
    if kept := sum(sizes[: len(done)]):
        log.info("%s of %s were done before", counted(kept, "study"), f"{sum(sizes):,}")
    for number, block in [*enumerate(blocks)][len(done) :]:
        teller.begin(sum(sizes[:number]), len(block), sum(sizes))
        is_last = number + 1 == len(sizes)
        done.append(predictor.predict(block, block_folder(folder, number), is_last=is_last))
        keep_block(done[-1], predictor.adapter)
        teller.end()
    return done, kept
