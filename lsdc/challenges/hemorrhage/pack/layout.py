"""What a bundle of this challenge holds: the form of its submission, and its models."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from lsdc.challenges.hemorrhage.competition.row_ids import ID, LABEL
from lsdc.challenges.hemorrhage.config.experiment import Experiment
from lsdc.challenges.hemorrhage.predict.models import TrainedModels
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

# Notebooks have the competition's folder inside one of the same name.
_COMPETITION = "rsna-intracranial-hemorrhage-detection"
# Stage 2 comes first, as in `competition.tables`.
_TESTS = ("stage_2_test_images", "stage_2_test", "stage_1_test_images", "stage_1_test")
FORM = SubmissionForm(
    samples=("stage_2_sample_submission.csv", "stage_1_sample_submission.csv"),
    row_id=ID,
    values=(LABEL,),
    items="images",
    item=".+",
    folders=tuple((name, r"(.+)\.dcm") for name in _TESTS),
    expected="stage_2_sample_submission.csv and stage_2_test_images (or stage_2_test)",
    otherwise=0.5,
)
KIND = Kind(
    worker="lsdc.challenges.hemorrhage.pack.submit",
    form=FORM,
    competition=f"/kaggle/input/{_COMPETITION}/{_COMPETITION}",
)
_CELL = "label"


def prior_rows_of(shares: Mapping[str, float]) -> pl.DataFrame:
    """Return the prior of a run as the table that a bundle holds."""
    return pl.DataFrame({_CELL: list(shares), LABEL: list(shares.values())})


def open_models(bundle: Path) -> list[TrainedModels]:
    """Return the models of each run in a bundle; `predict.py` has checked the digests."""
    manifest = BundleManifest.model_validate_json((bundle / MANIFEST).read_bytes())
    return [_models_of(bundle, run) for run in manifest.runs]


def _models_of(bundle: Path, run: PackedRun) -> TrainedModels:
    folder = bundle / MODELS / run.name
    experiment = Experiment.model_validate_json((folder / EXPERIMENT).read_bytes())
    has_sequence = experiment.sequence.kind != "none"
    return TrainedModels(
        name=run.name,
        experiment=experiment,
        folds={fold: folder / f"fold-{fold}" for fold in run.folds},
        sequences={fold: folder / f"sequence-{fold}" for fold in run.folds if has_sequence},
        prior=dict(read_prior(folder / PRIOR, [LABEL]).select(_CELL, LABEL).iter_rows()),
    )
