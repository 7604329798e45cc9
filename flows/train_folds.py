"""Train folds: a model a fold, and the score of what each had not seen."""

from pathlib import Path

from prefect import flow
from prefect.futures import PrefectFuture

from flows.prepare import Prepared, prepare_training
from lsdc.store.manifest import Manifest
from tasks.oof import score_oof
from tasks.run import Annotations, Device, Run, building, open_run
from tasks.training import ended_with_the_flow
from tasks.training import train_fold as train_one_fold


def train_and_score(run: Run, prepared: Prepared) -> list[Manifest]:
    """Train the folds that were asked for, then score them out of fold."""
    trained: list[Manifest] = []
    with ended_with_the_flow():
        for side_by_side in run.fold_groups:
            dispatched = [dispatch_fold(run, prepared, fold) for fold in side_by_side]
            trained += [fold.result() for fold in dispatched]
    score_oof(run, prepared.folds, trained)
    return trained


def dispatch_fold(run: Run, prepared: Prepared, fold: int) -> PrefectFuture[Manifest]:
    """Send a fold to where it is trained: here, a task beside its siblings."""
    return train_one_fold.submit(run, fold, prepared.crops, prepared.folds)


@flow(name="train-folds", flow_run_name="train-folds-{experiment}")
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
    annotations: Annotations = "clean",
) -> None:
    """Train every fold of an experiment and score it out of fold; prepares what is missing.

    Args:
        experiment: what is trained.
        settings: KEY=VALUE, such as training.epochs=2, upon what the experiment says.
        data: the competition's folder; without it, the phantom's.
        home: where results are kept; without it, LSDC_HOME or ./lsdc-home.
        folds: how many folds the studies are dealt into.
        only_fold: train this one alone; the scores are then marked partial.
        weights: pretrained ones, a file or a folder; without, timm's hub or its cache.
        holdout: share of the studies that no fold gets; scored on its own.
        seed: of folds and models.
        device: auto, cpu or cuda.
        annotations: clean, with the faults that can be proved mended, or raw.
    """
    run = open_run(
        experiment=experiment,
        settings=settings or (),
        data=data,
        home=home,
        folds=folds,
        only_fold=only_fold,
        weights=weights,
        holdout=holdout,
        seed=seed,
        device=device,
        annotations=annotations,
    )
    with building(run):
        train_and_score(run, prepare_training(run))


@flow(name="train-fold", flow_run_name="train-fold-{fold}-{experiment}")
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
    annotations: Annotations = "clean",
) -> None:
    """Train one fold of an experiment.

    Args:
        fold: which one, from 0.
        experiment: what is trained.
        settings: KEY=VALUE, such as training.epochs=2, upon what the experiment says.
        data: the competition's folder; without it, the phantom's.
        home: where results are kept; without it, LSDC_HOME or ./lsdc-home.
        folds: how many folds the studies are dealt into.
        weights: pretrained ones, a file or a folder; without, timm's hub or its cache.
        holdout: share of the studies that no fold gets; scored on its own.
        seed: of folds and models.
        device: auto, cpu or cuda.
        annotations: clean, with the faults that can be proved mended, or raw.
    """
    run = open_run(
        experiment=experiment,
        settings=settings or (),
        data=data,
        home=home,
        folds=folds,
        only_fold=fold,
        weights=weights,
        holdout=holdout,
        seed=seed,
        device=device,
        annotations=annotations,
    )
    with building(run), ended_with_the_flow():
        dispatch_fold(run, prepare_training(run), fold).result()
