"""Predictions of a trained sequence model: a recurrent net, or regressions."""

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.config.experiment import Experiment
from lsdc.challenges.hemorrhage.training.network import build_sequence, read_probabilities
from lsdc.challenges.hemorrhage.training.samples import NAMES, neighbour_rows
from lsdc.challenges.hemorrhage.training.stacking import Stacking
from lsdc.challenges.hemorrhage.training.stacks import stacks_of
from lsdc.challenges.hemorrhage.training.vectors import read_logits
from lsdc.training.inference import as_array, predict_logits
from lsdc.training.models.study_sequence import StudySequence

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]


def build_second(experiment: Experiment) -> StudySequence | Stacking:
    """Build the sequence model of an experiment, whose `sequence.kind` is not "none"."""
    if experiment.sequence.kind == "stacking":
        return Stacking(experiment.sequence.reach)
    return build_sequence(experiment)


def predict_second(
    model: StudySequence | Stacking,
    every: pl.DataFrame,
    some: pl.DataFrame,
    vectors: Vectors,
    experiment: Experiment,
    *,
    device: torch.device,
) -> Floats:
    """Return the probabilities (slices, 6) by row, of some slices at least; NaN for others.

    Args:
        model: the trained model.
        every: all rows of `samples.read_slices`.
        some: those to predict.
        vectors: (slices, columns) the vectors of all slices.
        experiment: the experiment of the model.
        device: the device for a net.
    """
    found: Floats = np.full((len(every), len(NAMES)), np.nan)
    if not len(some):
        return found
    if isinstance(model, Stacking):
        found[some["row"].to_numpy()] = model(stacked_logits(every, some, vectors, experiment))
        return found
    stacks = stacks_of(every, some)
    none = np.full((len(every), len(NAMES)), np.nan, dtype=np.float32)
    logits = predict_logits(
        model.to(device),
        stacks.samples(vectors, none),
        batch_size=experiment.sequence.batch_size,
        device=device,
        precision=getattr(torch, experiment.training.precision),
    )
    return stacks.by_row(as_array(read_probabilities(logits.double())), len(every))


def stacked_logits(
    every: pl.DataFrame, some: pl.DataFrame, vectors: Vectors, experiment: Experiment
) -> Floats:
    """Return the slice model's logits (n, 2 reach + 1, 6) of some slices and their neighbours."""
    reach = experiment.sequence.reach
    around = neighbour_rows(every, range(-reach, reach + 1))[some["row"].to_numpy()]
    return read_logits(vectors, around)
