"""The vectors of slices: what the slice model says of each, for a model over the slices of a study.

`vectors.npy` is (slices, width + 6 + 2) in float32. Its rows are those of `slices.npy`; its columns
the features of the slice, the logits of its labels, and the steps to the slices before and after.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.config.experiment import Experiment
from lsdc.challenges.hemorrhage.training.network import STEPS
from lsdc.challenges.hemorrhage.training.samples import NAMES, as_samples
from lsdc.store.files import write_atomic
from lsdc.training.inference import predict_batches
from lsdc.training.models.embedder import Embedder
from lsdc.training.models.model import SliceModel
from lsdc.training.views import unchanged

_USUAL_STEP_MM = 5.0

Vectors = NDArray[np.float32]


def columns_of(experiment: Experiment) -> int:
    """Return the number of columns of the vectors."""
    return experiment.model.width + len(NAMES) + STEPS


def write_vectors(
    path: Path,
    model: SliceModel,
    slices: Path,
    every: pl.DataFrame,
    experiment: Experiment,
    *,
    device: torch.device,
    on_batch: Callable[[int], None],
) -> None:
    """Write the vectors of all slices, batch by batch.

    Args:
        path: the file to write.
        model: the trained slice model, on `device`.
        slices: the folder with slices.npy.
        every: all rows of `samples.read_slices`.
        experiment: the experiment of the model.
        device: the device.
        on_batch: called with the number of slices done.
    """
    with write_atomic(path) as temporary, temporary.open("wb") as file:
        header = {
            "descr": "<f4",
            "fortran_order": False,
            "shape": (len(every), columns_of(experiment)),
        }
        np.lib.format.write_array_header_1_0(file, header)
        done = 0
        for found in _vectors(model, slices, every, experiment, device):
            file.write(np.ascontiguousarray(found, dtype="<f4").data)
            done += len(found)
            on_batch(done)


def read_logits(vectors: Vectors, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the slice model's logits (..., 6) in some rows (...) of the vectors."""
    end = vectors.shape[1] - STEPS
    return np.asarray(vectors[:, end - len(NAMES) : end][rows], dtype=np.float64)


def steps(every: pl.DataFrame) -> Vectors:
    """Return the steps (n, 2) to the slices before and after, in 5 mm; 0 where there is none.

    Args:
        every: stack, order, step_mm of all slices, in any order.
    """
    after = pl.col("step_mm").fill_null(0.0)
    before = after.shift(1).over("stack", order_by="order").fill_null(0.0)
    found = every.select(before.alias("before"), after.alias("after"))
    return found.to_numpy().astype(np.float32) / np.float32(_USUAL_STEP_MM)


def _vectors(
    model: SliceModel,
    slices: Path,
    every: pl.DataFrame,
    experiment: Experiment,
    device: torch.device,
) -> Iterator[Vectors]:
    of_steps, start = steps(every), 0
    for done, (outputs,) in predict_batches(
        Embedder(model),
        as_samples(slices, every, experiment),
        [unchanged],
        batch_size=experiment.training.batch_size,
        device=device,
        precision=getattr(torch, experiment.training.precision),
    ):
        assert outputs.features is not None
        told = torch.cat([outputs.features, outputs.grades[:, 0]], dim=1).cpu().numpy()
        yield np.concatenate([told, of_steps[start:done]], axis=1)
        start = done
