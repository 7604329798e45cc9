"""Training of one fold's model over the slices of a study, in a child process."""

from functools import partial
from pathlib import Path

from lsdc.challenges.hemorrhage.config.experiment import Experiment
from lsdc.challenges.hemorrhage.training.train_fold import PREDICTED, VECTORS
from lsdc.jobs.fold import TRAINED, clear_results, finish_training
from lsdc.store.files import are_intact, digest_file
from lsdc.training.process import Job, OnEvent, run_child
from lsdc.training.trained_fold import log_warnings, read_facts

CHILD = "lsdc.challenges.hemorrhage.training.train_sequence_child"
RESULTS = (*TRAINED, *PREDICTED)


class SequenceJob(Job):
    """The training of one fold's sequence model.

    Attributes:
        experiment: the experiment; its `sequence.kind` is not "none".
        fold: the fold that is predicted and not trained on.
        slices: the folder with slices.npy and slices.parquet.
        labels: the labels' Parquet file.
        folds: the folds' Parquet file.
        holdout: the Parquet file of the images in no fold, and of their labels.
        fold_folder: the folder of the same fold's trained slice model.
        out: the folder to write the result to.
        identity: fingerprint of everything that the training depends on, beside the slice model.
        seed: random seed of weights and order.
        device: "auto", "cpu", "cuda" or any other of torch's devices; it affects the last bits of
            the result.
        threads: number of torch's threads; it affects the last bits of the result.
        workers: number of processes that load data; it does not affect the result.
    """

    experiment: Experiment
    fold: int
    slices: Path
    labels: Path
    folds: Path
    holdout: Path | None = None
    fold_folder: Path
    out: Path
    identity: str
    seed: int
    device: str
    threads: int
    workers: int

    @property
    def name(self) -> str:
        """What is trained."""
        return f"sequence model of fold {self.fold}"

    def __str__(self) -> str:
        """Return the suffix for messages: what is trained, and its folder."""
        return f" of {self.name} into {self.out}"


def train_sequence(job: SequenceJob, *, log: Path, on_event: OnEvent) -> None:
    """Train on the other folds' studies and predict this one's; resume if it was interrupted.

    It reads the vectors that the same fold's slice model wrote. That model has not seen the fold's
    labels, so neither model's predictions of the fold depend on them. `out` then holds the files of
    `train_fold` but the vectors; "stacking" has a history without rows. With the same `identity`
    and vectors, a finished training is not repeated.

    Args:
        job: the training job.
        log: the file that the child's output is appended to.
        on_event: receives each step and the end of each epoch.

    Raises:
        DataError, SettingsError, NoSpaceError, StageError: see `lsdc.training.process.run_child`.
    """
    out, vectors = job.out, digest_file(job.fold_folder / VECTORS)
    facts = read_facts(out, job.identity)
    if facts.get("vectors") == vectors and are_intact(out, RESULTS, facts.get("digests", {})):
        return
    clear_results(out, RESULTS)
    done = run_child(
        CHILD,
        # A checkpoint of other vectors is not resumed.
        job.model_copy(update={"identity": f"{job.identity} {vectors}"}),
        log=log,
        stall_minutes=job.experiment.training.stall_minutes,
        on_event=partial(log_warnings, job.name, on_event),
    )
    own = {"identity": job.identity, "vectors": vectors, "folds": digest_file(job.folds)}
    finish_training(out, {**done, **own}, RESULTS)
