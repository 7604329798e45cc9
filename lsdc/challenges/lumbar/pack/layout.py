"""The layout of a bundle, and its manifest `bundle.json`."""

import csv
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.ensemble.fitted import FITTED
from lsdc.challenges.lumbar.ensemble.model import Ensemble
from lsdc.challenges.lumbar.predict.models import EnsembleModels, TrainedModels
from lsdc.store.files import write_atomic

MANIFEST, ENTRY, NOTEBOOK, REQUIREMENTS = (
    "bundle.json",
    "predict.py",
    "kaggle.ipynb",
    "requirements.txt",
)
CODE, MODELS, POINTS, WHEELS = "code", "models", "points", "wheels"
EXPERIMENT, PRIOR = "experiment.json", "prior.csv"
ENSEMBLE = "ensemble"


class PackedFile(BaseModel):
    """A file of a bundle."""

    model_config = ConfigDict(frozen=True)

    bytes: int
    sha256: str


class PackedRun(BaseModel):
    """A run of a bundle.

    Attributes:
        name: its name, also that of its folder in `models/`.
        folds: the scored folds.
        points: the folder in `points/` with the models that find the level points.
        score: its score over all folds.
        tables: digest of the training tables; None for the phantom.
        data: the folder of its data, or `phantom`.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    folds: tuple[int, ...]
    points: str
    score: float | None
    tables: str | None
    data: str


class PackedEnsemble(BaseModel):
    """What joins the runs of a bundle, in place of their mean.

    Attributes:
        name: the name of the ensemble's run.
        members: the run of each member, in the order of the ensemble.
        score: its score over all folds.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    members: dict[str, str]
    score: float | None


class BundleManifest(BaseModel):
    """What a bundle holds.

    Attributes:
        bundle: version of the layout.
        lsdc: the version of lsdc that packed it.
        code: the fingerprint of the code in it.
        image: the machine that it is made for.
        python: the version of Python there.
        libraries: the version of each library where the bundle was packed.
        runs: the runs, whose mean is predicted unless there is an ensemble.
        ensemble: the ensemble of these runs, if any.
        files: all other files, by path.
    """

    model_config = ConfigDict(frozen=True)

    bundle: Literal[1] = 1
    lsdc: str
    code: str
    image: str
    python: str
    libraries: dict[str, str]
    runs: tuple[PackedRun, ...]
    ensemble: PackedEnsemble | None = None
    files: dict[str, PackedFile]


def open_models(bundle: Path) -> list[TrainedModels] | EnsembleModels:
    """Return the models of each run in a bundle; `predict.py` has checked the digests."""
    manifest = BundleManifest.model_validate_json((bundle / MANIFEST).read_bytes())
    runs = [_models_of(bundle, run) for run in manifest.runs]
    if manifest.ensemble is None:
        return runs
    folder, named = bundle / ENSEMBLE, {each.name: each for each in runs}
    experiment = Experiment.model_validate_json((folder / EXPERIMENT).read_bytes())
    return EnsembleModels(
        name=manifest.ensemble.name,
        members={member: named[run] for member, run in manifest.ensemble.members.items()},
        ensemble=Ensemble.load(folder / FITTED),
        labels=experiment.labels,
        prior=_read_prior(folder / PRIOR),
    )


def _models_of(bundle: Path, run: PackedRun) -> TrainedModels:
    folder = bundle / MODELS / run.name
    return TrainedModels(
        name=run.name,
        experiment=Experiment.model_validate_json((folder / EXPERIMENT).read_bytes()),
        folds={fold: folder / f"fold-{fold}" for fold in run.folds},
        points=bundle / POINTS / run.points,
        prior=_read_prior(folder / PRIOR),
    )


def write_prior(prior: pl.DataFrame, path: Path) -> None:
    """Write a prior as CSV, with all digits, so that it is read as the same numbers."""
    with (
        write_atomic(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["condition", "level", *PROBABILITIES])
        writer.writerows(prior.select("condition", "level", *PROBABILITIES).iter_rows())


def _read_prior(path: Path) -> pl.DataFrame:
    with path.open(encoding="utf-8", newline="") as file:
        rows: list[dict[str, Any]] = [
            {**row, **{name: float(row[name]) for name in PROBABILITIES}}
            for row in csv.DictReader(file)
        ]
    return pl.DataFrame(rows)
