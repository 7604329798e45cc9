"""The stage that trains a fold, in any challenge: its key, its job, and its result."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from lsdc.jobs.fold import BaseFoldJob, train_fold
from lsdc.store.files import digest_file
from lsdc.store.manifest import Manifest, make_manifest
from lsdc.training.trained_fold import FACTS
from tasks.common.trainings import training_in
from tasks.identity import pretrained_digests
from tasks.results import compute_once, find_result
from tasks.run import TRAINING_CHANGES_NO_RESULT, Place, Run
from tasks.stage import Stage

R = TypeVar("R", bound=Run)

LIBRARIES = ("albumentations", "numpy", "opencv-python-headless", "timm", "torch")
RESUMES = 20  # each resumes after the previous one was asked to stop
TRAINING = "training"  # results without predictions, by the key of the stage without views


def training_uses(run: Run) -> dict[str, Any]:
    """Return what the key of every training covers besides the parts of its experiment."""
    settings = run.parts("training")["training"]
    return {
        "training": settings.model_dump(exclude=TRAINING_CHANGES_NO_RESULT),
        "weights": pretrained_digests(run),
        "seed": run.seed,
    }


def digest_needed(path: Path | None) -> str | None:
    """Return the digest of a file of another experiment's fold; None if there is none."""
    return digest_file(path) if path and path.is_file() else None


def without_views(run: R) -> R:
    """Return the run without test-time augmentation, on which no weight depends."""
    views = run.parts("tta")["tta"]
    experiment = run.experiment.model_copy(update={"tta": type(views)()})
    return run.model_copy(update={"experiment": experiment})


def job_settings(run: Run, place: Place) -> dict[str, Any]:
    """Return the fields of a job that the run and the place of its training decide."""
    return {
        "seed": run.seed,
        "weights": run.weights,
        "device": place.device,
        "beside": place.beside,
        "threads": place.threads,
        "workers": place.workers,
    }


def fit_fold(run: Run, stage: str, job: BaseFoldJob) -> Manifest:
    """Do a training in its folder, or only its predictions; return the result of the stage."""
    with training_in(run, job.out, job.identity, job.name) as on_event:
        train_fold(job, log=run.home.logs / "children.log", on_event=on_event)
    return _describe(run, stage, job, job.results)


def fit_whatever_the_views(
    run: Run,
    stage: Stage[..., Manifest],
    inputs: tuple[Any, ...],
    job: Callable[[str], BaseFoldJob],
) -> Manifest:
    """Train a fold, or only predict it if a run with other views (`tta`) has trained it already.

    Args:
        run: the run.
        stage: the stage that trains the fold.
        inputs: its arguments besides the run.
        job: returns the training of that identity, which is the key of the stage without views.
    """
    plain = without_views(run)
    key, has_views = stage.key(plain, *inputs), plain.experiment != run.experiment
    if has_views and find_result(run, TRAINING, key, Manifest) is None:
        stage.find(plain, *inputs)  # copies it into the run's folder
    training = job(key)
    result = fit_fold(run, stage.name, training)
    if has_views:
        trained = _describe(run, stage.name, training, training.trained)
        compute_once(run, TRAINING, key, Manifest, lambda: trained)
    return result


def _describe(run: Run, stage: str, job: BaseFoldJob, names: tuple[str, ...]) -> Manifest:
    others = [each for each in job.optional if each not in names and (job.out / each).is_file()]
    return make_manifest(
        run.root, stage, job.out, rows=1, names=names, key=job.identity, notes=[FACTS, *others]
    )
