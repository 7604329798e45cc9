"""Training of one fold in a child process, which writes its model and out-of-fold predictions."""

import json
from functools import partial
from pathlib import Path

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.store.files import are_intact, digest_file, digest_files, write_text
from lsdc.training.parallel.job import SharedJob
from lsdc.training.process import OnEvent, run_children
from lsdc.training.trained_fold import (
    FACTS,
    log_warnings,
    read_facts,
    require_same_folds,
)

CHILD = "lsdc.challenges.lumbar.training.train_fold_child"
WEIGHTS = "model.safetensors"
TRAINED = (WEIGHTS, "steps.parquet", "history.parquet")
PREDICTED = ("oof.parquet", "unlabelled.parquet", "holdout.parquet")
RESULTS = (*TRAINED, *PREDICTED)
DOUBTED = "doubted.parquet"


class FoldJob(SharedJob):
    """The training of one fold.

    Attributes:
        experiment: the experiment to train.
        fold: the fold that is predicted and not trained on.
        second_fold: another such fold, for a judge of labels.
        crops: the folder with crops.npy and samples.parquet.
        labels: the labels' Parquet file.
        folds: the folds' Parquet file.
        holdout: the Parquet file of the studies in no fold; only study_id is read.
        marks: the Parquet file of the annotated slices, if the model learns to tell them.
        out: the folder to write the result to.
        identity: fingerprint of everything that the training depends on. The predictions also
            depend on `experiment.tta`.
        seed: random seed of weights, order and augmentation.
        device, beside, rank, meeting: see `SharedJob`.
        threads: number of torch's threads; it affects the last bits of the result.
        workers: number of processes that load data; it does not affect the result.
        start_from: the model.safetensors of the same fold of `experiment.needs.weights`.
        fill_from: the unlabelled.parquet of the same fold of `experiment.needs.labels`.
        judges: the folders of the models by which `experiment.labels.distrust` leaves out labels;
            see `scoring.doubt`.
        weights: path of pretrained backbones' weights that are not on the hub or in its cache.
        is_trained: whether `out` has the trained model, so that the fold is only predicted.
    """

    experiment: Experiment
    fold: int
    second_fold: int | None = None
    crops: Path
    labels: Path
    folds: Path
    holdout: Path | None = None
    marks: Path | None = None
    out: Path
    identity: str
    seed: int
    threads: int
    workers: int
    start_from: Path | None = None
    fill_from: Path | None = None
    judges: tuple[Path, ...] = ()
    weights: Path | None = None
    is_trained: bool = False

    @property
    def left_out(self) -> tuple[int, ...]:
        """The folds that are predicted and not trained on."""
        return (self.fold,) if self.second_fold is None else (self.fold, self.second_fold)

    def __str__(self) -> str:
        """Return the suffix for messages: what is trained, and its folder."""
        return f" of {self.name} into {self.out}{self.of_processes}"

    @property
    def name(self) -> str:
        """What is trained: a fold, or a judge of two folds' labels."""
        return (
            f"fold {self.fold}"
            if self.second_fold is None
            else "judge {}-{}".format(*self.left_out)
        )


def train_fold(job: FoldJob, *, log: Path, on_event: OnEvent) -> None:
    """Train on the other folds and predict this one; resume if it was interrupted.

    `out` then holds model.safetensors, oof.parquet (columns of `scoring.oof.OutOfFold`: every row
    of the fold's studies with samples), unlabelled.parquet (the same without fold and label, for
    missing grades of the other studies), holdout.parquet (likewise, for the studies of `holdout`,
    which are not trained on),
    history.parquet (epoch, loss, validation_loss, score), steps.parquet (epoch, step, loss,
    learning_rate, gradient_norm, which is not finite where float16 skipped the update),
    doubted.parquet (with judges: the labels left out, columns of `scoring.doubt.doubted_labels`),
    tensorboard/ (the same as curves) and fit.json (a record of the training). During training it
    holds the checkpoint resume.pt; a file `pause` there, or beside `out` for all folds, pauses it.
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
    digests = facts.get("digests", {})
    is_trained = are_intact(out, TRAINED, digests)
    if is_trained and facts.get("tta") == tta and are_intact(out, PREDICTED, digests):
        return
    if not is_trained:
        for setting, needed in (("needs.weights", job.start_from), ("needs.labels", job.fill_from)):
            if needed is not None:
                require_same_folds(needed.parent, digest_file(job.folds), setting)
        out.mkdir(parents=True, exist_ok=True)
        for name in (FACTS, *RESULTS, DOUBTED):  # superseded results of another training
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
    own = {"identity": job.identity, "tta": tta, "folds": digest_file(job.folds)}
    own |= {"digests": digest_files(out, RESULTS)}
    write_text(out / FACTS, json.dumps({**facts, **done, **own}, indent=1))
    (out / "resume.pt").unlink(missing_ok=True)
