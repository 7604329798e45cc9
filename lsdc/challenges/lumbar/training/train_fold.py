"""One fold: trained in a child process, which leaves its model and out-of-fold predictions."""

import json
import logging
from functools import partial
from pathlib import Path

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.errors import StageError
from lsdc.store.files import digest_file
from lsdc.training.events import Event, Warned
from lsdc.training.process import Job, Tell, run_child
from lsdc.training.trained_fold import FACTS, read_trained

CHILD = "lsdc.challenges.lumbar.training.train_fold_child"
RESULTS = (
    "model.safetensors",
    "oof.parquet",
    "unlabelled.parquet",
    "holdout.parquet",
    "steps.parquet",
    "history.parquet",
)


class FoldJob(Job):
    """One fold's training.

    Attributes:
        experiment: what is trained.
        fold: which studies are not learnt from, and predicted.
        crops: the folder with crops.npy and samples.parquet.
        labels: Parquet.
        folds: Parquet.
        holdout: Parquet, of which study_id alone is read: studies that no fold has.
        out: the folder of the result.
        identity: names all that the result depends on.
        seed: of weights, order and augmentation.
        device: "auto", "cpu", "cuda" or what else torch knows; another one gives other last bits,
            and so does another number of threads.
        workers: processes that load data; any number gives the same bits.
        start_from: the model.safetensors of the same fold of `experiment.needs.weights`.
        fill_from: the unlabelled.parquet of the same fold of `experiment.needs.labels`.
        weights: where those of pretrained backbones lie, if not on the hub or in its cache.
    """

    experiment: Experiment
    fold: int
    crops: Path
    labels: Path
    folds: Path
    holdout: Path | None = None
    out: Path
    identity: str
    seed: int
    device: str
    threads: int
    workers: int
    start_from: Path | None = None
    fill_from: Path | None = None
    weights: Path | None = None

    def __str__(self) -> str:
        """Which fold, into which folder."""
        return f" of fold {self.fold} into {self.out}"


def train_fold(job: FoldJob, *, log: Path, on_event: Tell) -> None:
    """Train on the other folds and predict this one; start again to go on where it was killed.

    `out` then holds model.safetensors, oof.parquet (row_id, study_id, condition, level, fold,
    label, normal_mild, moderate, severe: every row of the fold's studies that have samples),
    unlabelled.parquet (so of the other studies' labels without a grade, but for fold and label),
    holdout.parquet (so of the studies of `holdout`, which are in no fold and are not learnt from),
    history.parquet (epoch, loss, validation_loss, score), steps.parquet (epoch, step, loss,
    learning_rate, gradient_norm, which is not finite where float16 skipped the update),
    tensorboard/ (the same as curves) and fit.json (how it was trained). While it trains it holds
    resume.pt, and it waits while somebody lays a file `pause` there, or beside `out` for all folds.
    A fold that is finished under the same `identity` is left as it is; device, threads and library
    versions are recorded, and a training may go on under others.

    Args:
        job: what is trained.
        log: file that the child's words are appended to.
        on_event: told each step and each epoch's end.

    Raises:
        DataError, SettingsError, NoSpaceError, StageError: see `lsdc.training.process.run_child`.
    """
    out = job.out
    if _is_finished(out, job.identity):
        return
    for setting, needed in (("needs.weights", job.start_from), ("needs.labels", job.fill_from)):
        if needed is not None:
            _require_same_folds(needed.parent, job.folds, setting)
    out.mkdir(parents=True, exist_ok=True)
    for name in (FACTS, *RESULTS):  # of another training; from here on there is none
        (out / name).unlink(missing_ok=True)
    done = run_child(
        CHILD,
        job,
        log=log,
        stall_minutes=job.experiment.training.stall_minutes,
        on_event=partial(_handle, job.fold, on_event),
    )
    digests = {name: digest_file(out / name) for name in RESULTS}
    temporary = out / f".writing-{FACTS}"
    facts = {"identity": job.identity, "digests": digests, "folds": digest_file(job.folds), **done}
    temporary.write_text(json.dumps(facts, indent=1))
    temporary.replace(out / FACTS)
    (out / "resume.pt").unlink(missing_ok=True)


def _require_same_folds(trained: Path, folds: Path, setting: str) -> None:
    """Refuse what may come of a training on the studies which are to be predicted."""
    if read_trained(trained, setting)["folds"] != digest_file(folds):
        raise StageError(
            f"{trained}: trained on other folds, so it may know the studies of this one; run "
            f"experiment {trained.parent.name} again with the same --folds and --seed"
        )


def _handle(fold: int, on_event: Tell, event: Event) -> None:
    if isinstance(event, Warned):
        logging.getLogger(__name__).warning("fold %d %s", fold, event.text)
    else:
        on_event(event)


def _is_finished(out: Path, identity: str) -> bool:
    try:
        written = json.loads((out / FACTS).read_text())
        return bool(written["identity"] == identity) and all(
            digest_file(out / name) == digest for name, digest in written["digests"].items()
        )
    except (OSError, ValueError, KeyError):
        return False
