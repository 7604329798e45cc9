"""The child process of `train_sequence`: trains the sequence model of one fold, and predicts it."""

import time
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.training.files import VECTORS
from lsdc.challenges.hemorrhage.training.fold_data import FoldData, read_fold, score_of
from lsdc.challenges.hemorrhage.training.network import build_loss, read_probabilities
from lsdc.challenges.hemorrhage.training.samples import label_array
from lsdc.challenges.hemorrhage.training.sequence import (
    build_second,
    predict_second,
    stacked_logits,
)
from lsdc.challenges.hemorrhage.training.stacking import Stacking
from lsdc.challenges.hemorrhage.training.stacks import read_vectors, stacks_of
from lsdc.challenges.hemorrhage.training.train_sequence import SequenceJob
from lsdc.challenges.hemorrhage.training.vectors import columns_of
from lsdc.jobs.fold_child import describe_training, write_trained
from lsdc.jobs.models import open_device
from lsdc.store.exact_names import write_parquet
from lsdc.training.checkpoint import Progress
from lsdc.training.device import describe
from lsdc.training.interrupts import catch_sigterm
from lsdc.training.loop import Training
from lsdc.training.models.study_sequence import StudySequence
from lsdc.training.process import OnEvent, child_main
from lsdc.training.samples import Sample
from lsdc.training.settings.memory import MemorySettings

Vectors = NDArray[np.float32]


def work(job: SequenceJob, on_event: OnEvent) -> dict[str, Any]:
    """Train and predict; see `training.train_sequence.train_sequence`."""
    began, device = time.monotonic(), open_device(job.device, job.threads)
    experiment, out = job.experiment, job.out
    data = read_fold(
        experiment,
        job.fold,
        slices=job.slices,
        labels=job.labels,
        folds=job.folds,
        holdout=job.holdout,
    )
    vectors = read_vectors(job.fold_folder / VECTORS, len(data.every), columns_of(experiment))
    torch.manual_seed(job.seed)
    model, progress = build_second(experiment), Progress()
    if isinstance(model, Stacking):
        _fit(model, data, vectors)
    else:
        progress = _train(model, data, vectors, job, device, on_event)
    scored = pl.concat([data.inside, data.held_out])
    found = predict_second(model, data.every, scored, vectors, experiment, device=device)
    write_trained(out, model, progress)
    held_out = data.beside_held_out(found[data.held_out["row"].to_numpy()])
    write_parquet(held_out, out / "holdout.parquet")
    write_parquet(data.beside_labels(found[data.inside["row"].to_numpy()]), out / "oof.parquet")
    return describe_training(
        fold=job.fold,
        seed=job.seed,
        device=device,
        progress=progress,
        keep="last",
        began=began,
    )


def _fit(model: Stacking, data: FoldData, vectors: Vectors) -> None:
    """Fit the regressions to the other folds' slices."""
    labels = label_array(data.outside, data.labels)
    known = ~np.isnan(labels).any(axis=1)
    logits = stacked_logits(data.every, data.outside, vectors, data.experiment)
    model.fit(logits[known], labels[known], data.experiment.sequence.strength)


def _train(
    model: StudySequence,
    data: FoldData,
    vectors: Vectors,
    job: SequenceJob,
    device: torch.device,
    on_event: OnEvent,
) -> Progress:
    """Train the net in place on the other folds' studies."""
    experiment, out = job.experiment, job.out
    learnt, own = stacks_of(data.every, data.outside), stacks_of(data.every, data.inside)
    inside = data.inside["row"].to_numpy()
    truth = label_array(data.inside, data.labels)
    hidden = np.full((len(data.every), truth.shape[1]), np.nan, dtype=np.float32)
    hidden[inside] = truth

    def score(found: NDArray[Any]) -> float:
        return score_of(truth, own.by_row(found, len(data.every))[inside])

    with catch_sigterm() as stop_requested:
        return Training(
            model=model,
            train_samples=learnt.samples(vectors, data.outside_labels(data.every)),
            val_samples=own.samples(vectors, hidden),
            settings=experiment.sequence.training(experiment.training),
            memory=MemorySettings(("sequence.width",), batch_size="sequence.batch_size"),
            augment=_as_it_is,
            mix=lambda batch, _: batch,
            criterion=build_loss(experiment),
            probabilities=read_probabilities,
            score=score,
            seed=job.seed,
            device=device,
            workers=job.workers,
            folder=out,
            identity=job.identity,
            environment=describe(device),
            on_event=on_event,
            pauses=[out / "pause", out.parent / "pause", out.parent.parent / "pause"],
            stop_requested=stop_requested,
        ).run()


def _as_it_is(sample: Sample, _: int) -> Sample:
    """Return the sample: no augmentation of sequences helped the 2nd place."""
    return sample


if __name__ == "__main__":
    child_main(work, SequenceJob)
