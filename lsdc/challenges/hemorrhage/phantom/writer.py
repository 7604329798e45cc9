"""Write a complete synthetic competition: DICOM files, tables and answers."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from lsdc.challenges.hemorrhage.phantom.study import (
    FINDINGS,
    MASKS,
    Order,
    plan_studies,
    write_study,
)
from lsdc.challenges.hemorrhage.phantom.tables import write_tables
from lsdc.errors import SettingsError
from lsdc.shares import work_in_shares

SMALLEST_SIZE_PX = 32
_FEWEST_SLICES, _MOST_SLICES = 6, 60
_PROCESSES = 2
_WORTH_PROCESSES = 12  # with fewer studies, starting processes costs more than it saves


def write_phantom(
    out: Path, order: Order, *, on_progress: Callable[[int, int], None] | None = None
) -> None:
    """Write a competition of synthetic studies in the layout of the real one.

    `answers/` holds the truth, for test studies too; its README.txt tells what. The same order
    gives the same bytes. `out` appears only once everything is written.

    Args:
        out: a folder that does not exist yet, or an empty one.
        order: the parameters of the phantom.
        on_progress: called with the number of studies written, and their total.

    Raises:
        SettingsError: `out` is not empty, or a number is out of bounds.
        StageError: a child process that writes a fraction of the studies failed.
    """
    out = out.resolve()
    _check(out, order)
    unfinished = out.with_name(f".{out.name}.unfinished-{os.getpid()}")
    unfinished.mkdir(parents=True)
    try:
        for folder in ("stage_2_train_images", "stage_2_test_images", MASKS, FINDINGS):
            (unfinished / folder).mkdir(parents=True)
        shared = order.total >= _WORTH_PROCESSES and (os.cpu_count() or 1) >= _PROCESSES
        written = _write_in_children if shared else _write_here
        for done, _ in enumerate(written(unfinished, order), start=1):
            if on_progress is not None:
                on_progress(done, order.total)
        _write_tables(unfinished, order)
        if out.exists():
            out.rmdir()
        unfinished.rename(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_here(root: Path, order: Order) -> Iterator[int]:
    for number, record in enumerate(plan_studies(order)):
        write_study(root, order, number, record)
        yield number


def _write_in_children(root: Path, order: Order) -> Iterator[int]:
    job = {"root": str(root), **asdict(order)}
    return work_in_shares(
        "lsdc.challenges.hemorrhage.phantom.worker", job, _PROCESSES, what=f"phantom {root.parent}"
    )


def _write_tables(root: Path, order: Order) -> None:
    """Write the tables from what was found in each study's images."""
    findings = root / FINDINGS
    studies = [
        (record, np.load(findings / f"{number}.npy"))
        for number, record in enumerate(plan_studies(order))
    ]
    write_tables(root, studies, np.random.default_rng(order.seed), repeat=order.quirks)
    shutil.rmtree(findings)


def _check(out: Path, order: Order) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SettingsError(
            f"{out}: not empty or not a folder, expected a new or an empty folder for the "
            "phantom; name another one or empty it first"
        )
    bounds = {
        "studies": (order.studies, 1, 100_000),
        "test": (order.test, 0, 100_000),
        "seed": (order.seed, 0, 2**32 - 1),
        "size": (order.size, SMALLEST_SIZE_PX, 512),
        "fewest_slices": (order.fewest_slices, _FEWEST_SLICES, _MOST_SLICES),
        "most_slices": (order.most_slices, order.fewest_slices, _MOST_SLICES),
    }
    for name, (value, lowest, highest) in bounds.items():
        if not lowest <= value <= highest:
            raise SettingsError(f"phantom {name}: expected {lowest} to {highest}, got {value}")
