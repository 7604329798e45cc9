"""Training of one fold's slice model in a child process, with its out-of-fold predictions."""

import json
from functools import partial
from pathlib import Path

from lsdc.challenges.hemorrhage.config.experiment import Experiment
from lsdc.challenges.hemorrhage.training.files import PREDICTED, VECTORS, WEIGHTS
from lsdc.store.files import are_intact, digest_file, digest_files, write_text
from lsdc.training.parallel.job import SharedJob
from lsdc.training.process import OnEvent, run_children
from lsdc.training.trained_fold import FACTS, log_warnings, read_facts, require_same_folds

CHILD = "lsdc.challenges.hemorrhage.training.train_fold_child"


class FoldJob(SharedJob):
    """The training of one fold's slice model.

    Attributes:
        experiment: the experiment to train.
        fold: the fold that is predicted and not trained on.
        slices: the folder with slices.npy and slices.parquet.
        labels: the labels' Parquet file.
        folds: the folds' Parquet file.
        holdout: the Parquet file of the images in no fold, and of their labels.
        out: the folder to write the result to.
        identity: fingerprint of everything that the training depends on. The predictions also
            depend on `experiment.tta`.
        seed: random seed of weights, order and augmentation.
        device, beside, rank, meeting: see `SharedJob`.
        threads: number of torch's threads; it affects the last bits of the result.
        workers: number of processes that load data; it does not affect the result.
        start_from: the model.safetensors of the same fold of `experiment.needs.weights`.
        weights: path of a pretrained backbone's weights that are not on the hub or in its cache.
        is_trained: whether `out` has the trained model, so that the fold is only predicted.
    """

    experiment: Experiment
    fold: int
    slices: Path
    labels: Path
    folds: Path
    holdout: Path | None = None
    out: Path
    identity: str
    seed: int
    threads: int
    workers: int
    start_from: Path | None = None
    weights: Path | None = None
    is_trained: bool = False

    def __str__(self) -> str:
        """Return the suffix for messages: what is trained, and its folder."""
        return f" of {self.name} into {self.out}{self.of_processes}"

    @property
    def name(self) -> str:
        """What is trained."""
        return f"fold {self.fold}"

    @property
    def trained(self) -> tuple[str, ...]:
        """The files that do not depend on `experiment.tta`."""
        trained = (WEIGHTS, "steps.parquet", "history.parquet")
        return trained if self.experiment.sequence.kind == "none" else (*trained, VECTORS)


def train_fold(job: FoldJob, *, log: Path, on_event: OnEvent) -> None:
    """Train on the other folds and predict this one; resume if it was interrupted.

    `out` then holds model.safetensors, oof.parquet (columns of `scoring.oof.OutOfFold`: every slice
    of the fold), holdout.parquet (columns of `scoring.oof.HeldOut`, for the images of `holdout`,
    which are not trained on), vectors.npy (with a sequence model: what it reads of every slice, see
    `training.vectors`), history.parquet (epoch, loss, validation_loss, score), steps.parquet
    (epoch, step, loss, learning_rate, gradient_norm, which is not finite where float16 skipped the
    update), tensorboard/ (the same as curves) and fit.json (a record of the training). During
    training it holds the checkpoint resume.pt; a file `pause` there, or beside `out` for all folds,
    pauses it.
    A finished fold with the same `identity` is not trained again; it is only predicted if
    `experiment.tta` changed. Device, threads and library versions are recorded, and training may
    resume under different ones.

    Args:
        job: the training job.
        log: the file that the child's output is appended to.
        on_event: receives each step and the end of each epoch.

    Raises:
        DataError, SettingsError, NoSpaceError, StageError: see `lsdc.training.process.run_child`.
    """
    out, facts = job.out, read_facts(job.out, job.identity)
    tta = job.experiment.tta.model_dump(mode="json")
    digests, results = facts.get("digests", {}), (*job.trained, *PREDICTED)
    is_trained = are_intact(out, job.trained, digests)
    if is_trained and facts.get("tta") == tta and are_intact(out, PREDICTED, digests):
        return
    if not is_trained:
        if job.start_from is not None:
            require_same_folds(job.start_from.parent, digest_file(job.folds), "needs.weights")
        out.mkdir(parents=True, exist_ok=True)
        for name in (FACTS, VECTORS, *results):  # superseded results of another training
            (out / name).unlink(missing_ok=True)
    # Several processes train together, and one predicts.
    alone = {"beside": ()} if is_trained else {}
    whole = job.model_copy(update={"is_trained": is_trained, **alone})
    with whole.shared_out() as jobs:
        done, *_ = run_children(
            CHILD,
            jobs,
            log=log,
            stall_minutes=job.experiment.training.stall_minutes,
            on_event=partial(log_warnings, job.name, on_event),
            together=len(jobs) > 1,
        )
    facts |= done
    facts |= {"identity": job.identity, "tta": tta, "folds": digest_file(job.folds)}
    facts |= {"digests": digest_files(out, results)}
    write_text(out / FACTS, json.dumps(facts, indent=1))
    (out / "resume.pt").unlink(missing_ok=True)
