"""Training of one fold in a child process, which writes its model and out-of-fold predictions."""

import json
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lsdc.store.files import are_intact, digest_file, digest_files, write_text
from lsdc.training.parallel.job import SharedJob
from lsdc.training.process import OnEvent, run_children
from lsdc.training.trained_fold import (
    FACTS,
    HISTORY,
    STEPS,
    WEIGHTS,
    log_warnings,
    read_facts,
    require_same_folds,
)

if TYPE_CHECKING:
    from lsdc.jobs.experiment import TrainedExperiment

TRAINED = (WEIGHTS, STEPS, HISTORY)


class BaseFoldJob(SharedJob):
    """The training of one fold; each challenge adds `experiment` and the data.

    Attributes:
        child: the module of the child process, which is built of `lsdc.jobs.fold_child`.
        predicted: the files that depend on `experiment.tta`.
        optional: other files, which only some trainings write.
        fold: the fold that is predicted and not trained on.
        folds: the folds' Parquet file.
        out: the folder to write the result to.
        identity: fingerprint of everything that the training depends on. The predictions also
            depend on `experiment.tta`.
        seed: random seed of weights, order and augmentation.
        device, beside, rank, meeting: see `SharedJob`.
        threads: number of torch's threads; it affects the last bits of the result.
        workers: number of processes that load data; it does not affect the result.
        start_from: the model.safetensors of the same fold of `experiment.needs.weights`.
        weights: path of pretrained backbones' weights that are not on the hub or in its cache.
        is_trained: whether `out` has the trained model, so that the fold is only predicted.
    """

    child: ClassVar[str]
    predicted: ClassVar[tuple[str, ...]]
    optional: ClassVar[tuple[str, ...]] = ()

    fold: int
    folds: Path
    out: Path
    identity: str
    seed: int
    threads: int
    workers: int
    start_from: Path | None = None
    weights: Path | None = None
    is_trained: bool = False

    if TYPE_CHECKING:  # a field of each challenge, of its own type

        @property
        def experiment(self) -> TrainedExperiment: ...

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
        return TRAINED

    @property
    def results(self) -> tuple[str, ...]:
        """All files of the result."""
        return (*self.trained, *self.predicted)

    @property
    def needed(self) -> Mapping[str, Path | None]:
        """The files of other experiments' folds, by the setting that needs each."""
        return {"needs.weights": self.start_from}


def train_fold(job: BaseFoldJob, *, log: Path, on_event: OnEvent) -> None:
    """Train on the other folds and predict this one; resume if it was interrupted.

    `out` then holds `job.results`: model.safetensors, history.parquet (epoch, loss,
    validation_loss, score), steps.parquet (epoch, step, loss, learning_rate, gradient_norm, which
    is not finite where float16 skipped the update), and the predictions; and tensorboard/ (the same
    as curves) and fit.json (a record of the training). During training it holds the checkpoint
    resume.pt; a file `pause` there, or beside `out` for all folds, pauses it.
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
    is_trained = are_intact(out, job.trained, digests)
    has_views = not job.predicted or facts.get("tta") == tta
    if is_trained and has_views and are_intact(out, job.predicted, digests):
        return
    if not is_trained:
        for setting, needed in job.needed.items():
            if needed is not None:
                require_same_folds(needed.parent, digest_file(job.folds), setting)
        clear_results(out, (*job.results, *job.optional))
    # Several processes train together, and one predicts.
    alone = {"beside": ()} if is_trained else {}
    whole = job.model_copy(update={"is_trained": is_trained, **alone})
    with whole.shared_out() as jobs:
        done, *_ = run_children(
            job.child,
            jobs,
            log=log,
            stall_minutes=job.experiment.training.stall_minutes,
            on_event=partial(log_warnings, job.name, on_event),
            together=len(jobs) > 1,
        )
    own = {"identity": job.identity, "tta": tta, "folds": digest_file(job.folds)}
    finish_training(out, {**facts, **done, **own}, job.results)


def clear_results(out: Path, names: Iterable[str]) -> None:
    """Make the folder of a training, and remove superseded results of another one from it."""
    out.mkdir(parents=True, exist_ok=True)
    for name in (FACTS, *names):
        (out / name).unlink(missing_ok=True)


def finish_training(out: Path, facts: Mapping[str, Any], results: Iterable[str]) -> None:
    """Write the record of a training with the digests of its results; remove its checkpoint."""
    written = {**facts, "digests": digest_files(out, results)}
    write_text(out / FACTS, json.dumps(written, indent=1))
    (out / "resume.pt").unlink(missing_ok=True)
