"""Write a complete synthetic competition: DICOM files, tables and answers."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lsdc.challenges.hemorrhage.phantom.study import FINDINGS, MASKS, STUDIES, Order, plan_studies
from lsdc.challenges.hemorrhage.phantom.tables import write_tables
from lsdc.phantom import BOUNDS, new_folder, require_bounds, write_pieces

_FEWEST_SLICES, _MOST_SLICES = 6, 60


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
    slices = {
        "fewest_slices": (_FEWEST_SLICES, _MOST_SLICES),
        "most_slices": (order.fewest_slices, _MOST_SLICES),
    }
    require_bounds(order, {**BOUNDS, "size": (32, 512), **slices})
    with new_folder(out) as unfinished:
        for folder in ("stage_2_train_images", "stage_2_test_images", MASKS, FINDINGS):
            (unfinished / folder).mkdir(parents=True)
        write_pieces(unfinished, order, STUDIES, on_progress=on_progress)
        _write_tables(unfinished, order)


def _write_tables(root: Path, order: Order) -> None:
    """Write the tables from what was found in each study's images."""
    findings = root / FINDINGS
    studies = [
        (record, np.load(findings / f"{number}.npy"))
        for number, record in enumerate(plan_studies(order))
    ]
    write_tables(root, studies, np.random.default_rng(order.seed), repeat=order.quirks)
    shutil.rmtree(findings)
