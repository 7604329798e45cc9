"""A run's model card in Markdown: what its models are, their data, their scores, their limits."""

from pathlib import Path

from lsdc import __version__
from lsdc.challenges.hemorrhage.report.figures.agreement import agreements
from lsdc.challenges.hemorrhage.report.figures.compared import compare
from lsdc.challenges.hemorrhage.report.figures.scored import prior_of
from lsdc.challenges.hemorrhage.report.figures.sources import RunSource
from lsdc.challenges.hemorrhage.report.page.warnings import warn_of_prior, warnings_of
from lsdc.challenges.hemorrhage.report.words import LABEL_NAMES, PART_NAMES
from lsdc.challenges.hemorrhage.scoring.metric import PARTS
from lsdc.messages import counted
from lsdc.report import numbers
from lsdc.report.markdown import table
from lsdc.report.runs.card import (
    backbone_row,
    data_table,
    digests_table,
    is_phantom,
    limits_list,
    models_table,
    scores_table,
)

_ANSWERS = Path("answers", "bleeds.csv")  # in a phantom's folder


def build_card(source: RunSource) -> str:
    """Return the model card of a run."""
    phantom = is_phantom(source, _ANSWERS)
    parts = [
        f"# Model card: {source.name}",
        _SUMMARY,
        *(f"**{text}**" for text in (*warnings_of(source), *warn_of_prior(source.scored))),
        "## The models",
        _models(source),
        "## Intended use",
        _USE,
        "## What the models are not for",
        limits_list(_NOT_FOR, phantom=phantom),
        "## Training data",
        _data(source, phantom=phantom),
        "## Folds",
        *_folds(source),
        "## Scores",
        *_scores(source),
        "## Reproducing the run",
        digests_table(source, source.trained),
    ]
    return "\n\n".join(parts) + "\n"


_SUMMARY = (
    f"Models that say for each slice of a head CT whether it shows a haemorrhage, and of which of "
    f"{len(PARTS) - 1} kinds. They were trained and scored for the competition RSNA 2019 "
    f"Intracranial Hemorrhage Detection. Written by lsdc {__version__}."
)

_USE = "Research and competitions: predicting the competition's test set, and comparing methods."

_NOT_FOR = (
    "Diagnosis, treatment, or the order in which patients are seen. The models are not a medical "
    "device, and nobody has tested them on patients.",
    "Examinations other than CT of the head without contrast agent. Enhanced vessels, "
    "calcifications and metal are as bright as fresh blood; older blood is not.",
    "Findings of a whole examination. Labels and predictions are of single slices, and say nothing "
    "of size, age or place of a haemorrhage.",
    "Scanners and hospitals that are unlike those of the training data. Which these are is "
    "unknown: the files name neither.",
)


def _models(source: RunSource) -> str:
    settings = source.settings
    folds = len(source.scored.folds)
    rows = [["Models", f"{folds}, one per fold; test images get the mean of their predictions"]]
    rows += backbone_row(settings)
    if source.sequences:
        kind = settings.get("sequence.kind", "a second model")
        rows.append(["Sequence model", f"{kind}, over the slices of a study, one per fold"])
    if size := settings.get("slices.size_px"):
        rows.append(["Input", f"slices of {size} x {size} px, in windows of Hounsfield units"])
    rows.append(["Output", f"probabilities of {', '.join(PARTS)}"])
    return models_table(rows, source, source.folds)


def _data(source: RunSource, *, phantom: bool) -> str:
    rows = source.scored.rows
    counts = [
        ["Patients", numbers.count(rows["patient"].n_unique())],
        ["Studies", numbers.count(rows["study_id"].n_unique())],
        ["Slices with labels", numbers.count(rows.height)],
        *(
            [f"Slices with {name.lower()}", numbers.count(int(rows[f"label_{part}"].sum()))]
            for part, name in LABEL_NAMES.items()
        ),
    ]
    return data_table(counts, source, bad_files=source.quarantine.height, phantom=phantom)


def _folds(source: RunSource) -> list[str]:
    scored, rows = source.scored, []
    for fold in scored.folds:
        own = scored.rows.filter(fold=fold)
        rows.append(
            [
                str(fold),
                numbers.count(own["patient"].n_unique()),
                numbers.count(own.height),
                numbers.loss(scored.score_of(own).score),
                numbers.loss(prior_of(own).score),
            ]
        )
    held = "single image" if source.scores.get("leaky") else "patient"
    return [
        f"Each {held} belongs to one fold. Its predictions come from the model that was trained "
        "on the other folds.",
        table(["Fold", "Patients", "Slices", "Score", "Prior"], rows),
    ]


def _scores(source: RunSource) -> list[str]:
    scored, spans = source.scored, compare([source.scored]).intervals[0]
    aucs = {part: f"{each.auc:.3f}" for part, each in agreements(scored).items() if each.auc}
    notes = []
    if held_out := source.scores.get("holdout"):
        notes.append(
            f"{counted(held_out['studies'], 'held-out study')}, which no model was trained on: "
            f"{numbers.loss(held_out['score'])}; their prior: "
            f"{numbers.loss(held_out['weighted_prior']['score'])}."
        )
    return [
        "Log losses; lower is better. The score is their mean, in which any counts twice. The 95 % "
        "interval comes from drawing patients with replacement. A model has to beat the prior, "
        "which predicts each label's share for every slice. ROC AUC is for information.",
        scores_table(
            scored.score.as_dict(),
            scored.prior.as_dict(),
            spans,
            names=PART_NAMES,
            prior_name="Prior",
            further={"ROC AUC": aucs},
        ),
        *notes,
    ]
