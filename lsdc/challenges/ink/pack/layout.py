"""What a bundle of this challenge holds: the form of its submission, and its models."""

import json
from dataclasses import asdict
from pathlib import Path

import polars as pl

from lsdc.challenges.ink.competition.tables import ID, PREDICTED, SAMPLE
from lsdc.challenges.ink.config.experiment import Experiment
from lsdc.challenges.ink.masks.rule import Rule
from lsdc.challenges.ink.predict.models import TrainedModels
from lsdc.pack.layout import (
    EXPERIMENT,
    MANIFEST,
    MODELS,
    BundleManifest,
    Kind,
    PackedRun,
    SubmissionForm,
)
from lsdc.store.files import write_text

RULE = "rule.json"  # of a run, in its folder in `models/`
FORM = SubmissionForm(
    samples=(SAMPLE,),
    row_id=ID,
    values=(PREDICTED,),
    items="fragments",
    item=".+",
    folders=(("test", r"([^._][^.]*)"),),  # folders; names of files have a dot
    expected=f"{SAMPLE} and test/ID/surface_volume",
    otherwise="",
    otherwise_as="an empty mask",
)
KIND = Kind(
    worker="lsdc.challenges.ink.pack.submit",
    form=FORM,
    competition="/kaggle/input/vesuvius-challenge-ink-detection",
)
PRIOR_ROWS = pl.DataFrame({PREDICTED: [""]})  # an empty mask


def write_rule(rule: Rule, folder: Path) -> None:
    """Write the rule of a run into its folder in a bundle."""
    write_text(folder / RULE, json.dumps(asdict(rule), indent=1) + "\n")


def open_models(bundle: Path) -> list[TrainedModels]:
    """Return the models of each run in a bundle; `predict.py` has checked the digests."""
    manifest = BundleManifest.model_validate_json((bundle / MANIFEST).read_bytes())
    return [_models_of(bundle, run) for run in manifest.runs]


def _models_of(bundle: Path, run: PackedRun) -> TrainedModels:
    folder = bundle / MODELS / run.name
    return TrainedModels(
        name=run.name,
        experiment=Experiment.model_validate_json((folder / EXPERIMENT).read_bytes()),
        folds={fold: folder / f"fold-{fold}" for fold in run.folds},
        rule=Rule(**json.loads((folder / RULE).read_text(encoding="utf-8"))),
    )
