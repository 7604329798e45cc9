"""Maps of which parts of a slice a trained slice model's predictions rest on."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.config.experiment import Experiment
from lsdc.training.process import Job, run_child

CHILD = "lsdc.challenges.hemorrhage.training.occlusion_child"

Maps = NDArray[np.float64]


class OcclusionJob(Job):
    """The maps of some slices by trained slice models.

    Attributes:
        experiment: the experiment of the models.
        models: the folders of the trained folds.
        rows: for each of them, the rows of slices.npy.
        slices: the folder with slices.npy and slices.parquet.
        out: the .npy file to write.
        device: "auto", "cpu", "cuda" or any other of torch's devices.
    """

    experiment: Experiment
    models: tuple[Path, ...]
    rows: tuple[tuple[int, ...], ...]
    slices: Path
    out: Path
    device: str

    def __str__(self) -> str:
        """Return the suffix for messages: the folder of the slices."""
        return f" of {self.slices}"


def map_occlusion(
    experiment: Experiment,
    rows: Mapping[Path, Sequence[int]],
    *,
    slices: Path,
    log: Path,
    device: str = "auto",
) -> dict[tuple[Path, int], Maps]:
    """Map slices by trained slice models, in one child process.

    Args:
        experiment: the experiment of the models.
        rows: for each folder of a trained fold, the rows of slices.npy to map.
        slices: the folder with slices.npy and slices.parquet.
        log: the file that the child's output is appended to.
        device: the device to compute on.

    Returns:
        For each folder and row (labels, cells, cells), rows first: by how much the probability of
        a label moves when a part of the slice is hidden, in all its windows and neighbours; see
        `lsdc.training.explanation.explain`.

    Raises:
        DataError, SettingsError, StageError: see `lsdc.training.process.run_child`.
    """
    with tempfile.TemporaryDirectory() as folder:
        job = OcclusionJob(
            experiment=experiment,
            models=tuple(rows),
            rows=tuple(map(tuple, rows.values())),
            slices=slices,
            out=Path(folder) / "maps.npy",
            device=device,
        )
        minutes = experiment.training.stall_minutes
        run_child(CHILD, job, log=log, stall_minutes=minutes)
        maps = np.load(job.out).astype(np.float64)
    pairs = [(model, row) for model, own in rows.items() for row in own]
    return dict(zip(pairs, maps, strict=True))
