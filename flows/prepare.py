"""Prepare: DICOM files to crops, with folds fixed before anything learns."""

from pathlib import Path
from typing import Any

from prefect import flow

from lsdc.challenges.current import CurrentRun, prepare_training
from tasks.artifacts import shown
from tasks.dispatch import require_device_here
from tasks.identity import locked_experiment
from tasks.interrupts import cancelled_when_interrupted
from tasks.request import open_requested
from tasks.run import Annotations, Device, locked_home


@flow(name="prepare", flow_run_name="prepare-{experiment}")
@cancelled_when_interrupted
def prepare(
    experiment: str = "demo",
    settings: list[str] | None = None,
    data: Path | None = None,
    home: Path | None = None,
    folds: int = 4,
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
    """Take the training studies from DICOM files to crops, with folds fixed first.

    Args:
        experiment: whose coordinates and crops are wanted.
        settings: KEY=VALUE, such as training.epochs=2, upon what the experiment says.
        data: the competition's folder, or phantom; without it, that in a home without other data.
        home: where results are kept; without it, LSDC_HOME or ./lsdc-home.
        folds: how many folds the studies are dealt into.
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
        prepare_training(run, for_training=False)
