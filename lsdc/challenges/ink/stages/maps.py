"""Maps: probabilities of ink over whole regions, predicted by tiles."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from lsdc.challenges.ink.inference.predict import PredictJob, Wanted
from lsdc.challenges.ink.inference.predict import predict as predict_maps
from lsdc.challenges.ink.run import InkRun
from lsdc.store.manifest import Manifest, make_manifest
from tasks.common.trainings import training_in
from tasks.stage import stage

_CODE = ("lsdc.challenges.ink.inference.predict",)
_LIBRARIES = ("monai", "numpy", "timm", "torch")
_FASTER_ALONE = {"batch_size"}  # changes no more than the last bits


def _uses(inputs: Mapping[str, Any]) -> dict[str, Any]:
    run = inputs["run"]
    return {
        **run.parts("name", "volume", "tiles", "model"),
        "inference": run.experiment.inference.model_dump(exclude=_FASTER_ALONE),
        "precision": run.experiment.training.precision,
    }


@stage(
    "maps",
    code=_CODE,
    libraries=_LIBRARIES,
    uses=_uses,
    run_name="maps {fold}",
    retries=1,
)
def predict_fold(
    run: InkRun, fold: int, volumes: Manifest, folds: Manifest, trained: Manifest
) -> Manifest:
    """Predict the regions that a fold holds out, by its own model."""
    regions = run.table(folds, "regions").join(
        run.table(folds, "folds").filter(fold=fold), on="region", maintain_order="left"
    )
    key = predict_fold.key(run, fold, volumes, folds, trained)
    out = run.maps(fold)
    place = run.place_of(fold, run.folds_to_train)
    job = _job(run, [trained], volumes, regions, out, key, place.device, place.threads)
    return _predict(run, "maps", job, f"maps {fold}")


@stage(
    "predict",
    code=_CODE,
    libraries=_LIBRARIES,
    uses=_uses,
    run_name="predict",
    retries=1,
)
def predict_test(
    run: InkRun, volumes: Manifest, folds: Manifest, trained: Sequence[Manifest]
) -> Manifest:
    """Predict the test fragments by the mean over the folds' models."""
    regions = run.table(folds, "regions").filter(split="test")
    key = predict_test.key(run, volumes, folds, trained)
    out = run.maps_of_test
    job = _job(run, trained, volumes, regions, out, key, run.device, run.threads)
    return _predict(run, "predict", job, "predict")


def _job(
    run: InkRun,
    trained: Sequence[Manifest],
    volumes: Manifest,
    regions: pl.DataFrame,
    out: Path,
    key: str,
    device: str,
    threads: int,
) -> PredictJob:
    named = regions.select("region", "fragment", "first_row", "end_row")
    return PredictJob(
        experiment=run.experiment,
        models=tuple(run.at_home(fold).folder(run.root) for fold in trained),
        volumes=volumes.folder(run.root),
        wanted=tuple(Wanted(**row) for row in named.iter_rows(named=True)),
        out=out,
        identity=key,
        device=device,
        threads=threads,
    )


def _predict(run: InkRun, name: str, job: PredictJob, shown: str) -> Manifest:
    """Predict the job's regions into its folder, where maps of other models are put aside."""
    with training_in(run, job.out, job.identity, shown) as on_event:
        predict_maps(job, log=run.home.logs / "children.log", on_event=on_event)
    names = [each.file for each in job.wanted]
    return make_manifest(run.root, name, job.out, rows=len(names), names=names, key=job.identity)
