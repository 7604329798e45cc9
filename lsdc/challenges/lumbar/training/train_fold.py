"""Training of one fold in a child process, which writes its model and out-of-fold predictions."""

import json
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.errors import StageError
from lsdc.store.files import digest_file, write_text
from lsdc.training.events import Event, Warned
from lsdc.training.process import Job, OnEvent, run_children
from lsdc.training.trained_fold import FACTS, read_trained

CHILD = "lsdc.challenges.lumbar.training.train_fold_child"
WEIGHTS = "model.safetensors"
TRAINED = (WEIGHTS, "steps.parquet", "history.parquet")
PREDICTED = ("oof.parquet", "unlabelled.parquet", "holdout.parquet")
RESULTS = (*TRAINED, *PREDICTED)
DOUBTED = "doubted.parquet"


class FoldJob(Job):
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
        device: "auto", "cpu", "cuda" or any other of torch's devices; it affects the last bits of
            the result.
        beside: the devices of the other processes that train the model together with this one. How
            many they are affects the last bits of the result.
        rank: the number of this process among them.
        meeting: the file by which they find each other; None for a process that trains alone.
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
    device: str
    beside: tuple[str, ...] = ()
    rank: int = 0
    meeting: Path | None = None
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
        process = f", process {self.rank + 1} of {self.processes}" if self.beside else ""
        return f" of {self.name} into {self.out}{process}"

    @property
    def processes(self) -> int:
        """The number of processes that train the model together."""
        return 1 + len(self.beside)

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
    out, facts = job.out, _read_facts(job)
    tta = job.experiment.tta.model_dump(mode="json")
    is_trained = _is_intact(out, facts, TRAINED)
    if is_trained and facts.get("tta") == tta and _is_intact(out, facts, PREDICTED):
        return
    if not is_trained:
        for setting, needed in (("needs.weights", job.start_from), ("needs.labels", job.fill_from)):
            if needed is not None:
                _require_same_folds(needed.parent, job.folds, setting)
        out.mkdir(parents=True, exist_ok=True)
        for name in (FACTS, *RESULTS, DOUBTED):  # superseded results of another training
            (out / name).unlink(missing_ok=True)
    with _processes_of(job.model_copy(update={"is_trained": is_trained})) as jobs:
        done, *_ = run_children(
            CHILD,
            jobs,
            log=log,
            stall_minutes=job.experiment.training.stall_minutes,
            on_event=partial(_handle, job.name, on_event),
            together=len(jobs) > 1,
        )
    digests = {name: digest_file(out / name) for name in RESULTS}
    own = {"identity": job.identity, "tta": tta, "folds": digest_file(job.folds)}
    write_text(out / FACTS, json.dumps({**facts, **done, **own, "digests": digests}, indent=1))
    (out / "resume.pt").unlink(missing_ok=True)


@contextmanager
def _processes_of(job: FoldJob) -> Iterator[list[FoldJob]]:
    """Yield the job of each process: several train together, and one predicts."""
    if job.is_trained or not job.beside:
        yield [job.model_copy(update={"beside": ()})]
        return
    with tempfile.TemporaryDirectory(prefix="lsdc-") as folder:
        meeting = Path(folder) / "meeting"
        yield [
            job.model_copy(update={"device": device, "rank": rank, "meeting": meeting})
            for rank, device in enumerate((job.device, *job.beside))
        ]


def _require_same_folds(trained: Path, folds: Path, setting: str) -> None:
    """Refuse results of a training that may have used the studies to be predicted."""
    if read_trained(trained, setting)["folds"] != digest_file(folds):
        raise StageError(
            f"{trained}: trained on another split, perhaps with studies of this fold; run "
            f"experiment {trained.parent.name} again with the same --folds and --seed"
        )


def _handle(name: str, on_event: OnEvent, event: Event) -> None:
    if isinstance(event, Warned):
        logging.getLogger(__name__).warning("%s %s", name, event.text)
    else:
        on_event(event)


def _read_facts(job: FoldJob) -> dict[str, Any]:
    """Return the record of the same training in the job's folder; empty if there is none."""
    try:
        written: dict[str, Any] = json.loads((job.out / FACTS).read_text())
        return written if written["identity"] == job.identity else {}
    except (OSError, ValueError, KeyError):
        return {}


def _is_intact(out: Path, facts: Mapping[str, Any], names: Sequence[str]) -> bool:
    """Return whether these results are there, as they were recorded."""
    digests = facts.get("digests", {})
    try:
        return all(digest_file(out / name) == digests.get(name) for name in names)
    except OSError:
        return False
