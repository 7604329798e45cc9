"""The flow that learns coordinates alone, for workers that have a GPU."""

from pathlib import Path
from typing import Any

from prefect import flow

from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.challenges.lumbar.stages.coordinates import learn_coordinates
from lsdc.challenges.lumbar.steps.prepare import STAGES, read_training, require_model_here
from lsdc.store.manifest import Manifest
from tasks.artifacts import shown
from tasks.dispatch import require_device_here
from tasks.identity import locked_experiment
from tasks.interrupts import cancelled_when_interrupted, ended_with_the_flow
from tasks.request import open_requested
from tasks.results import ResultSerializer
from tasks.run import Annotations, Device, locked_home, note_so_far
from tasks.versions import require_versions


@flow(
    name="train-coordinates",
    flow_run_name="train-coordinates-{experiment}",
    persist_result=True,
    result_serializer=ResultSerializer(),
)
@cancelled_when_interrupted
def train_coordinates(
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
    versions: dict[str, str] | None = None,
    tries_model: bool = False,
) -> Manifest:
    """Learn the coordinates of an experiment, a small model a fold.

    Args:
        experiment: whose coordinates are wanted.
        settings: KEY=VALUE, such as coordinates.epochs=2, upon what the experiment says.
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
        versions: of the run that sent this one; a worker that has others refuses.
        tries_model: refuse first of all if weights or device of the folds' models are not here.
    """
    require_versions(versions, STAGES)
    run = open_requested(
        LumbarRun,
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
    with (
        shown(run),
        locked_experiment(run, wait=False) as run,
        locked_home(run),
        ended_with_the_flow(),
    ):
        if tries_model:
            require_model_here(run)
        coordinates = learn_coordinates(run, *read_training(run))
        note_so_far(run, coordinates)
    return coordinates
