"""Train folds: a model a fold, and the score of what each had not seen."""

from pathlib import Path
from typing import Any

from prefect import flow

from lsdc.challenges.current import (
    STAGES,
    CurrentRun,
    prepare_training,
    require_model_here,
    train_and_score,
    train_here,
)
from lsdc.store.manifest import Manifest
from tasks.artifacts import shown
from tasks.dispatch import require_device_here
from tasks.identity import locked_experiment, require_needs
from tasks.interrupts import cancelled_when_interrupted, ended_with_the_flow
from tasks.request import open_requested
from tasks.results import ResultSerializer
from tasks.run import Annotations, Device, locked_home
from tasks.versions import require_versions


@flow(name="train-folds", flow_run_name="train-folds-{experiment}")
@cancelled_when_interrupted
def train_folds(
    experiment: str = "demo",
    settings: list[str] | None = None,
    data: Path | None = None,
    home: Path | None = None,
    folds: int = 4,
    only_fold: int | None = None,
    weights: Path | None = None,
    holdout: float = 0.0,
    seed: int = 0,
    device: Device = "auto",
    threads: int | None = None,
    limit: int | None = None,
    annotations: Annotations = "clean",
    max_bad: float = 0.01,
    strict: bool = False,
    resolved: dict[str, Any] | None = None,
) -> None:
    """Train every fold of an experiment and score it out of fold; prepares what is missing.

    Args:
        experiment: what is trained.
        settings: KEY=VALUE, such as training.epochs=2, upon what the experiment says.
        data: the competition's folder, or phantom; without it, that in a home without other data.
        home: where results are kept; without it, LSDC_HOME or ./lsdc-home.
        folds: how many folds the studies are dealt into.
        only_fold: train this one alone; the scores are then marked partial.
        weights: pretrained ones, a file or a folder; without, timm's hub or its cache.
        holdout: share of the studies that no fold gets; scored on its own.
        seed: of folds and models.
        device: auto, cpu or cuda.
        threads: how many the run may use; without it, one a core.
        limit: the first so many training studies only.
        annotations: clean, with the faults that can be proved mended, or raw.
        max_bad: the share of unreadable files that stops a stage.
        strict: refuse to leave a study out.
        resolved: what the experiment's name means, as 'lsdc trigger' sends it; without it, it is
            looked up by its name.
    """
    run = open_requested(
        CurrentRun,
        experiment=experiment,
        resolved=resolved,
        settings=settings or (),
        data=data,
        home=home,
        folds=folds,
        only_fold=only_fold,
        weights=weights,
        holdout=holdout,
        seed=seed,
        device=device,
        threads=threads,
        limit=limit,
        annotations=annotations,
        max_bad=max_bad,
        strict=strict,
    )
    require_device_here(run)
    with shown(run), locked_experiment(run) as run, locked_home(run):
        require_needs(run)
        require_model_here(run)
        train_and_score(run, prepare_training(run))


@flow(
    name="train-fold",
    flow_run_name="train-fold-{fold}-{experiment}",
    persist_result=True,
    result_serializer=ResultSerializer(),
)
@cancelled_when_interrupted
def train_fold(
    fold: int = 0,
    experiment: str = "demo",
    settings: list[str] | None = None,
    data: Path | None = None,
    home: Path | None = None,
    folds: int = 4,
    weights: Path | None = None,
    holdout: float = 0.0,
    seed: int = 0,
    device: Device = "auto",
    threads: int | None = None,
    limit: int | None = None,
    annotations: Annotations = "clean",
    max_bad: float = 0.01,
    strict: bool = False,
    resolved: dict[str, Any] | None = None,
    versions: dict[str, str] | None = None,
) -> Manifest:
    """Train one fold of an experiment; prepares what is missing.

    Args:
        fold: which one, from 0.
        experiment: what is trained.
        settings: KEY=VALUE, such as training.epochs=2, upon what the experiment says.
        data: the competition's folder, or phantom; without it, that in a home without other data.
        home: where results are kept; without it, LSDC_HOME or ./lsdc-home.
        folds: how many folds the studies are dealt into.
        weights: pretrained ones, a file or a folder; without, timm's hub or its cache.
        holdout: share of the studies that no fold gets; scored on its own.
        seed: of folds and models.
        device: auto, cpu or cuda.
        threads: how many the run may use; without it, one a core.
        limit: the first so many training studies only.
        annotations: clean, with the faults that can be proved mended, or raw.
        max_bad: the share of unreadable files that stops a stage.
        strict: refuse to leave a study out.
        resolved: what the experiment's name means, as 'lsdc trigger' sends it; without it, it is
            looked up by its name.
        versions: of the run that sent this one; a worker that has others refuses.
    """
    require_versions(versions, STAGES)
    run = open_requested(
        CurrentRun,
        experiment=experiment,
        resolved=resolved,
        settings=settings or (),
        data=data,
        home=home,
        folds=folds,
        only_fold=fold,
        weights=weights,
        holdout=holdout,
        seed=seed,
        device=device,
        threads=threads,
        limit=limit,
        annotations=annotations,
        max_bad=max_bad,
        strict=strict,
    )
    require_device_here(run)
    # Waiting, it would keep a GPU from those whom it waits for.
    with shown(run), locked_experiment(run, wait=False) as run:
        with locked_home(run), ended_with_the_flow():
            require_needs(run)
            require_model_here(run)
            prepared = prepare_training(run)
        (trained,) = train_here(run, prepared)  # other folds are trained beside it
    return trained
