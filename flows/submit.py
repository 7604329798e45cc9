"""Submit: the test studies through the same code, to a row for every row id."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import flow

from flows.dispatch import as_done_here, require_device_here, require_model_here
from flows.prepare import Prepared, prepare_training
from flows.train_folds import train_and_score
from lsdc.errors import DataError
from lsdc.store.manifest import Manifest
from tasks.artifacts import shown
from tasks.catalog import publish_catalog
from tasks.coordinates import locate_test
from tasks.crops import cut_crops
from tasks.identity import occupying, require_needs
from tasks.interrupts import cancelled_when_interrupted
from tasks.request import open_requested
from tasks.run import Annotations, Device, Run, building, note_results, note_so_far
from tasks.sides import fix_sides
from tasks.submission import assemble_submission, predict_test


def predict_and_assemble(run: Run, prepared: Prepared, trained: Sequence[Manifest]) -> None:
    """Take the test studies from their index to the submission."""
    here, index = as_done_here(run), prepared.test
    if index is None:  # nobody asks for a submission
        return
    coordinates = locate_test(here, index, prepared.coordinates)
    note_so_far(run, coordinates)
    sides = fix_sides(run, "test", index, coordinates)
    note_so_far(run, sides)
    crops = cut_crops(run, "test", index, coordinates, sides)
    note_so_far(run, crops)
    predictions = predict_test(here, crops, trained)
    assemble_submission(run, prepared.folds, predictions)
    results = [*prepared.manifests, coordinates, sides, crops]
    publish_catalog(run, results, after="submission")
    note_results(run, results)


@flow(name="submit", flow_run_name="submit-{experiment}")
@cancelled_when_interrupted
def submit(
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
) -> None:
    """Predict the test studies with an experiment's folds; trains what is missing.

    Args:
        experiment: whose models predict.
        settings: KEY=VALUE, such as training.epochs=2, upon what the experiment says.
        data: the competition's folder, or phantom; without it, that in a home without other data.
        home: where results are kept; without it, LSDC_HOME or ./lsdc-home.
        folds: how many folds the models were trained on.
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
        prepared = prepare_training(run, for_submission=True)
        if prepared.test is None:
            raise DataError(
                f"{run.data}: no sample_submission.csv, which names the rows to predict"
            )
        trained = train_and_score(run, prepared)
        predict_and_assemble(run, prepared, trained)
