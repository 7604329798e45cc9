"""Trainings: done in this flow run in parallel, or sent to the workers of the GPU pool."""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from lsdc.errors import ChildDiedError, InterruptedRunError, ResumeLaterError
from lsdc.run_context import run_context
from lsdc.store.home import fold_lock
from lsdc.store.manifest import Manifest
from lsdc.store.put_aside import claim_folder
from lsdc.training.events import Event
from lsdc.training.process import OnEvent
from tasks.dispatch import TrainingJob, train_on_workers, trains_on_gpu_pool
from tasks.interrupts import ended_with_the_flow
from tasks.prefect_runs import result_of
from tasks.progress import event_callback
from tasks.results import sync_checkpoints
from tasks.run import Run
from tasks.stage import Stage
from tasks.versions import installed_versions

R = TypeVar("R", bound=Run)
T = TypeVar("T")

Train = Callable[[Run, Sequence[TrainingJob]], list[Manifest]]
"""Does trainings of a run, and returns their results."""

log = logging.getLogger("lsdc.training")


def training_of_fold(
    kind: str, stage: Stage[..., Manifest], run: Run, fold: int, *inputs: Any
) -> TrainingJob:
    """Return a training of a fold, which a run of that fold does on another worker.

    Args:
        kind: what it is of the fold; its task run is called KIND FOLD.
        stage: the stage.
        run: the run.
        fold: the fold.
        inputs: the stage's arguments besides these.
    """
    name, given = f"{kind} {fold}", (run, fold, *inputs)
    return TrainingJob("train-fold/default", name, stage, given, {"fold": fold})


def on_workers_or_here(stages: Collection[Stage[..., Any]]) -> Train:
    """Return what does trainings: `dispatch` if other workers train, else `train_in_parallel`."""
    return partial(dispatch, stages=stages) if trains_on_gpu_pool() else train_in_parallel


def dispatch(
    run: Run, jobs: Sequence[TrainingJob], stages: Collection[Stage[..., Any]]
) -> list[Manifest]:
    """Do the trainings that have no stored result on other workers; return all results.

    Args:
        run: the run.
        jobs: the trainings.
        stages: the stages of the runs that do them, whose versions the workers must have.
    """
    missing = [job for job in jobs if not job.stage.find(*job.inputs)]
    sent = train_on_workers(run, missing, installed_versions(stages))
    trained = {job.name: result for job, result in zip(missing, sent, strict=True)}
    return [trained.get(job.name) or job.stage(*job.inputs) for job in jobs]


def train_in_parallel(run: Run, jobs: Sequence[TrainingJob]) -> list[Manifest]:
    """Do the trainings in this flow run, as many in parallel as the machine has room for."""
    trained: list[Manifest] = []
    with ended_with_the_flow():
        for group in run.in_groups(jobs):
            begun = [job.stage.submit(*job.inputs) for job in group]
            trained += [result_of(each) for each in begun]
    return trained


def find_trained(job: TrainingJob) -> Manifest | None:
    """Return the stored result of a training; None if it has to be done."""
    return job.stage(*job.inputs) if job.stage.find(*job.inputs) else None


def with_earlier_folds(run: R, trained: Iterable[T], find: Callable[[R, int], T | None]) -> list[T]:
    """Add earlier folds that are still valid, so that a single fold is not scored alone.

    Args:
        run: the run.
        trained: what was trained for each of its folds.
        find: returns the same for another fold of the run of all folds, if it is stored.

    Returns:
        What was trained for the folds, in their order.
    """
    whole = run.model_copy(update={"only_fold": None})
    found = dict(zip(run.folds_to_train, trained, strict=True))
    for fold in whole.folds_to_train:
        if fold not in found and (earlier := find(whole, fold)) is not None:
            found[fold] = earlier
            log.info("fold %d: trained earlier and still valid, so it is scored as well", fold)
    return [found[fold] for fold in sorted(found)]


@contextmanager
def training_in(run: Run, folder: Path, identity: str, name: str) -> Iterator[OnEvent]:
    """Claim and lock the folder of a training, and share its checkpoints with other hosts.

    Args:
        run: the run.
        folder: the folder; results of another training there are put aside.
        identity: fingerprint of everything that the training depends on.
        name: the name of the training's task run.

    Yields:
        The listener for the training's events.
    """
    with fold_lock(folder, say=log.warning):
        claim_folder(run.home, folder, identity, say=log.warning)
        with (
            _not_tried_again_at_the_end(),
            sync_checkpoints(run, identity, folder) as share,
        ):
            yield _both(event_callback(name), share)


def _both(first: OnEvent, second: OnEvent) -> OnEvent:
    def listen(event: Event) -> None:
        first(event)
        second(event)

    return listen


@contextmanager
def _not_tried_again_at_the_end() -> Iterator[None]:
    """Keep children ended by `ended_with_the_flow` from being retried by their tasks."""
    try:
        yield
    except (ResumeLaterError, ChildDiedError) as error:
        if not run_context().shutdown_requested():
            raise
        raise InterruptedRunError(f"the run is ending: {error}") from error
