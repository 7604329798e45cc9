"""Write a complete synthetic competition: DICOM files, tables and answers."""

from collections.abc import Callable
from pathlib import Path

from lsdc.challenges.lumbar.phantom.pose import LUMBAR_VERTEBRAE
from lsdc.challenges.lumbar.phantom.study import STUDIES, Order, plan_studies
from lsdc.challenges.lumbar.phantom.tables import write_tables
from lsdc.phantom import BOUNDS, new_folder, require_bounds, write_pieces

_BOUNDS = {
    **BOUNDS,
    "max_size": (32, 2048),
    "scatter_mm": (0.0, 20.0),
    "vertebrae": (LUMBAR_VERTEBRAE - 1, LUMBAR_VERTEBRAE + 1),
}


def write_phantom(
    out: Path, order: Order, *, on_progress: Callable[[int, int], None] | None = None
) -> None:
    """Write a competition of synthetic studies in the layout of the real one.

    `answers/points.csv`, `grades.csv` and `spines.csv` hold the truth, for test studies too. The
    same order gives the same bytes. `out` appears only once everything is written.

    Args:
        out: a folder that does not exist yet, or an empty one.
        order: the parameters of the phantom.
        on_progress: called with the number of studies written, and their total.

    Raises:
        SettingsError: `out` is not empty, or a number is out of bounds.
        StageError: a child process that writes a fraction of the studies failed.
    """
    require_bounds(order, _BOUNDS)
    with new_folder(out) as unfinished:
        (unfinished / "train_images").mkdir()
        (unfinished / "test_images").mkdir()
        write_pieces(unfinished, order, STUDIES, on_progress=on_progress)
        write_tables(unfinished, plan_studies(order))
