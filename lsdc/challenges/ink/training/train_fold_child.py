"""The child process of `FoldJob`: trains one fold's network."""

import time
from typing import Any

from lsdc.challenges.ink.training.augment import TileAugment
from lsdc.challenges.ink.training.fold_data import read_fold
from lsdc.challenges.ink.training.network import (
    build_loss,
    build_mixing,
    build_network,
    read_probabilities,
)
from lsdc.challenges.ink.training.train_fold import FoldJob
from lsdc.jobs.fold_child import describe_training, fold_training, new_model, write_trained
from lsdc.jobs.models import open_device
from lsdc.training.process import OnEvent, child_main


def work(job: FoldJob, on_event: OnEvent) -> dict[str, Any]:
    """Train the job's fold; see `lsdc.jobs.fold.train_fold`.

    Of several processes that train together, the first one reports and writes.

    Returns:
        The record of the training; empty if the fold is trained, or by another process.
    """
    if job.is_trained:
        return {}
    began, device = time.monotonic(), open_device(job.device, job.threads)
    experiment = job.experiment
    data = read_fold(
        experiment, job.fold, volumes=job.volumes, regions=job.regions, folds=job.folds
    )
    network = new_model(job, build_network)
    with fold_training(job, device, on_event) as training:
        progress = training(
            model=network,
            train_samples=data.training,
            val_samples=data.validation,
            augment=TileAugment(experiment.augment, experiment.tiles, network.stride),
            mix=build_mixing(experiment),
            plain_epochs=experiment.augment.plain_epochs,
            criterion=build_loss(experiment),
            probabilities=read_probabilities,
            score=data.score,
        ).run()
    if job.rank > 0:
        return {}
    write_trained(job.out, network, progress)
    return describe_training(
        fold=job.fold,
        seed=job.seed,
        device=device,
        progress=progress,
        keep=experiment.training.keep,
        began=began,
        tiles=len(data.training),
    )


if __name__ == "__main__":
    child_main(work, FoldJob)
