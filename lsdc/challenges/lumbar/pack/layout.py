"""What a bundle of this challenge holds beside the common parts, and its models."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.ensemble.fitted import FITTED
from lsdc.challenges.lumbar.ensemble.model import Ensemble
from lsdc.challenges.lumbar.predict.models import EnsembleModels, TrainedModels
from lsdc.pack.layout import (
    EXPERIMENT,
    MANIFEST,
    MODELS,
    PRIOR,
    BundleManifest,
    Kind,
    PackedRun,
    SubmissionForm,
)
from lsdc.pack.prior import read_prior

POINTS, ENSEMBLE = "points", "ensemble"


class PackedPointsRun(PackedRun):
    """A run of a bundle.

    Attributes:
        points: the folder in `points/` with the models that find the level points.
    """

    points: str


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


class Manifest(BundleManifest):
    """What a bundle holds.

    Attributes:
        runs: the runs.
        ensemble: the ensemble of these runs, if any.
    """

    runs: tuple[PackedPointsRun, ...]
    ensemble: PackedEnsemble | None = None


FORM = SubmissionForm(
    samples=("sample_submission.csv",),
    row_id="row_id",
    values=PROBABILITIES,
    items="studies",
    item="0*[0-9]{1,18}",
    tables=(("test_series_descriptions.csv", "study_id"),),
    folders=(("test_images", "([0-9]{1,18})"),),
    expected="sample_submission.csv, test_series_descriptions.csv and test_images",
    otherwise=1 / len(PROBABILITIES),
)
KIND = Kind(
    worker="lsdc.challenges.lumbar.pack.submit",
    form=FORM,
    competition="/kaggle/input/rsna-2024-lumbar-spine-degenerative-classification",
    manifest=Manifest,
)


def open_models(bundle: Path) -> list[TrainedModels] | EnsembleModels:
    """Return the models of each run in a bundle; `predict.py` has checked the digests."""
    manifest = Manifest.model_validate_json((bundle / MANIFEST).read_bytes())
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
        prior=read_prior(folder / PRIOR, PROBABILITIES),
    )


def _models_of(bundle: Path, run: PackedPointsRun) -> TrainedModels:
    folder = bundle / MODELS / run.name
    return TrainedModels(
        name=run.name,
        experiment=Experiment.model_validate_json((folder / EXPERIMENT).read_bytes()),
        folds={fold: folder / f"fold-{fold}" for fold in run.folds},
        points=bundle / POINTS / run.points,
        prior=read_prior(folder / PRIOR, PROBABILITIES),
    )
