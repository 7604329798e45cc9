"""Train folds: a model a fold, and the score of what each had not seen."""

import logging
from pathlib import Path
from typing import Any

from prefect import flow

from flows.dispatch import (
    Work,
    has_other_workers,
    require_device_here,
    require_model_here,
    train_elsewhere,
)
from flows.prepare import Prepared, prepare_training
from lsdc.store.manifest import Manifest
from tasks.artifacts import show_scores, shown
from tasks.futures import result_of
from tasks.identity import occupying, require_needs
from tasks.interrupts import cancelled_when_interrupted
from tasks.oof import score_oof
from tasks.policies import is_kept, result_key
from tasks.request import open_requested
from tasks.results import ResultSerializer
from tasks.run import Annotations, Device, Run, building
from tasks.training import ended_with_the_flow
from tasks.training import train_fold as train_one_fold
from tasks.versions import require_versions

log = logging.getLogger("lsdc.training")


def train_and_score(run: Run, prepared: Prepared) -> list[Manifest]:
    """Train the folds that were asked for, then score out of fold all that there are."""
    trained = with_earlier_folds(run, prepared, dispatch_folds(run, prepared))
    score_oof(run, prepared.folds, trained)
    show_scores(run)
    return trained


def with_earlier_folds(run: Run, prepared: Prepared, trained: list[Manifest]) -> list[Manifest]:
    """Add the folds that were trained before and still stand, so that one alone is not scored."""
    whole = run.model_copy(update={"only_fold": None})
    inputs = prepared.crops, prepared.folds
    found = dict(zip(run.folds_to_train, trained, strict=True))
    for fold in whole.folds_to_train:
        if fold not in found and is_kept(train_one_fold, whole, fold, *inputs):
            found[fold] = train_one_fold(whole, fold, *inputs)
            log.info("fold %d was trained before and stands: it is scored as well", fold)
    return [found[fold] for fold in sorted(found)]


def dispatch_folds(run: Run, prepared: Prepared) -> list[Manifest]:
    """Have the folds trained: a run each on other workers, or here where that is not for us."""
    if not has_other_workers():
        return train_here(run, prepared)
    inputs = prepared.crops, prepared.folds
    missing = {
        fold: result_key(train_one_fold, run, fold, *inputs)
        for fold in run.folds_to_train
        if not is_kept(train_one_fold, run, fold, *inputs)
    }
    works = [
        Work("train-fold/default", f"fold {fold}", key, {"fold": fold})
        for fold, key in missing.items()
    ]
    trained = dict(zip(missing, train_elsewhere(run, works), strict=True))
    return [trained.get(fold) or train_one_fold(run, fold, *inputs) for fold in run.folds_to_train]


def train_here(run: Run, prepared: Prepared) -> list[Manifest]:
    """Train the folds in this flow run, as many side by side as the machine has room for."""
    trained: list[Manifest] = []
    with ended_with_the_flow():
        for side_by_side in run.fold_groups:
            begun = [
                train_one_fold.submit(run, fold, prepared.crops, prepared.folds)
                for fold in side_by_side
            ]
            trained += [result_of(fold) for fold in begun]
    return trained


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
    with shown(run), occupying(run) as run, building(run):
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
    require_versions(versions)
    run = open_requested(
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
    with shown(run), occupying(run, wait=False) as run:
        with building(run), ended_with_the_flow():
            require_needs(run)
            require_model_here(run)
            prepared = prepare_training(run)
        (trained,) = train_here(run, prepared)  # other folds are trained beside it
    return trained
