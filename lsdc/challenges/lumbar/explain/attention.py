"""Compute in a child process what the trained folds' predictions of some samples rest on."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.training.process import Job, OnEvent, ignore, run_child

CHILD = "lsdc.challenges.lumbar.explain.attention_child"

Floats = npt.NDArray[np.float64]


class ExplainJob(Job):
    """The explanation of samples by trained folds.

    Attributes:
        experiment: the experiment of the folds.
        models: the folders of the trained folds.
        rows: for each of them, the rows of crops.npy to explain.
        crops: the folder with crops.npy and samples.parquet.
        split: the split of the samples.
        out: the .npz file to write.
        device: "auto", "cpu", "cuda" or any other of torch's devices.
    """

    experiment: Experiment
    models: tuple[Path, ...]
    rows: tuple[tuple[int, ...], ...]
    crops: Path
    split: str
    out: Path
    device: str

    def __str__(self) -> str:
        """Return the suffix for messages: the folder of the crops."""
        return f" of {self.crops}"


@dataclass(frozen=True)
class SampleExplanation:
    """What one fold's prediction of a sample rests on, for each head (condition).

    Attributes:
        probabilities: (conditions, grades), as in a prediction of the fold.
        weights: (conditions, slots), see `lsdc.training.explanation.Explanation`.
        maps: (conditions, slots, cells, cells), likewise.
        has_attention: whether the weights are those of the attention pooling.
        told: (conditions, slots) probability that the slot has the annotated slice, None if the
            model does not tell it.
    """

    probabilities: Floats
    weights: Floats
    maps: Floats
    has_attention: bool
    told: Floats | None


def mean_explanation(parts: Sequence[SampleExplanation]) -> SampleExplanation:
    """Return the mean of several folds' explanations of a sample; `parts` is not empty."""
    return SampleExplanation(
        probabilities=np.mean([part.probabilities for part in parts], axis=0),
        weights=np.mean([part.weights for part in parts], axis=0),
        maps=np.mean([part.maps for part in parts], axis=0),
        has_attention=parts[0].has_attention,
        told=(
            None
            if parts[0].told is None
            else np.mean([part.told for part in parts if part.told is not None], axis=0)
        ),
    )


def explain_samples(
    experiment: Experiment,
    rows: Mapping[Path, Sequence[int]],
    *,
    crops: Path,
    split: str,
    log: Path,
    device: str = "auto",
    threads: int | None = None,
    on_event: OnEvent = ignore,
) -> dict[tuple[Path, int], SampleExplanation]:
    """Explain samples by trained folds, in one child process.

    Args:
        experiment: the experiment of the folds.
        rows: for each folder of a trained fold, the rows of crops.npy to explain.
        crops: the folder with crops.npy and samples.parquet.
        split: the split of the samples.
        log: the file that the child's output is appended to.
        device: the device to compute on.
        threads: number of torch's threads; None means as set in the environment.
        on_event: receives the progress of each fold.

    Returns:
        The explanations by the fold's folder and the sample's row.

    Raises:
        DataError, SettingsError, StageError: see `lsdc.training.process.run_child`.
    """
    with tempfile.TemporaryDirectory() as folder:
        job = ExplainJob(
            experiment=experiment,
            models=tuple(rows),
            rows=tuple(tuple(own) for own in rows.values()),
            crops=crops,
            split=split,
            out=Path(folder) / "explained.npz",
            device=device,
            threads=threads,
        )
        minutes = experiment.training.stall_minutes
        done = run_child(CHILD, job, log=log, stall_minutes=minutes, on_event=on_event)
        with np.load(job.out) as arrays:
            probabilities, weights, maps, told = (
                arrays[name].astype(np.float64)
                for name in ("probabilities", "weights", "maps", "told")
            )
    pairs = [(model, row) for model, own in rows.items() for row in own]
    return {
        pair: SampleExplanation(
            probabilities=probabilities[number],
            weights=weights[number],
            maps=maps[number],
            has_attention=bool(done["has_attention"]),
            told=told[number] if done["has_told"] else None,
        )
        for number, pair in enumerate(pairs)
    }
