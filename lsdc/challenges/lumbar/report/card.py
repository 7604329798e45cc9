"""A run's model card in Markdown: what its models are, their data, their scores, their limits."""

from pathlib import Path

from lsdc import __version__
from lsdc.challenges.lumbar.config.crops import CropsConfig
from lsdc.challenges.lumbar.quality.corrections import describe_corrections
from lsdc.challenges.lumbar.report.figures.groups import FEWEST_STUDIES, study_groups
from lsdc.challenges.lumbar.report.figures.sources import RunSource
from lsdc.challenges.lumbar.report.page.words import CONDITION_NAMES, GRADES_SHOWN, PART_NAMES
from lsdc.challenges.lumbar.scoring.compared import compare
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS
from lsdc.dicom_index.series import Series
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

_ANSWERS = Path("answers", "grades.csv")  # in a phantom's folder


def build_card(source: RunSource) -> str:
    """Return the model card of a run."""
    phantom = is_phantom(source, _ANSWERS)
    parts = [
        f"# Model card: {source.name}",
        _SUMMARY,
        "## The models",
        _models(source),
        "## Intended use",
        _USE.format(run=source.name),
        "## What the models are not for",
        limits_list(_NOT_FOR, phantom=phantom),
        "## Training data",
        *_data(source, phantom=phantom),
        "## Folds",
        *_folds(source),
        "## Scores",
        *_scores(source),
        "## Scores by group of studies",
        *_groups(source),
        "## Reproducing the run",
        digests_table(source, source.trained),
    ]
    return "\n\n".join(parts) + "\n"


_SUMMARY = (
    f"Models that grade {counted(len(CONDITIONS), 'condition')} at the {len(LEVELS)} disc levels "
    "of the lumbar spine from MR images. They were trained and scored for the competition RSNA "
    f"2024 Lumbar Spine Degenerative Classification. Written by lsdc {__version__}."
)

_USE = """\
Research and competitions: predicting the competition's test set, and comparing methods.
`lsdc predict FOLDER --run {run}` predicts other lumbar MR studies."""

_NOT_FOR = (
    "Diagnosis or treatment. The models are not a medical device, and nobody has tested them on "
    "patients.",
    "Other parts of the body, other examinations than MR, and studies with implants or after "
    "surgery: the labels do not tell such studies apart, so there is no score for them.",
    "Naming levels where a vertebra is extra or missing. Level names, and so the grades by level, "
    "may then be off by one.",
    "Scanners that are unlike those of the training data. Which these are is unknown: lsdc reads "
    "neither the maker nor the field strength from the files.",
)


def _models(source: RunSource) -> str:
    settings = source.settings
    named = {name: f"crops.{name}" for name in CropsConfig.model_fields}
    crops = {name: settings[key] for name, key in named.items() if key in settings}
    rows = [["Models", f"{len(source.scored.folds)}, one per fold; predictions are their mean"]]
    if source.members:
        rows = [["Members", f"{', '.join(source.members)}, each with a card of its own"]]
    rows += backbone_row(settings)
    if "size_px" in crops:
        height, width = CropsConfig.model_validate(crops).shape
        rows.append(
            ["Input", f"crops of {width} x {height} px of the slices around each disc level"]
        )
    rows.append(["Output", f"probabilities of {', '.join(GRADES_SHOWN)} for each condition"])
    return models_table(rows, source, source.folds)


def _data(source: RunSource, *, phantom: bool) -> list[str]:
    rows = source.scored.rows
    series = source.table(Series).filter(split="train")
    counts = [
        ["Studies with labels", numbers.count(rows["study_id"].n_unique())],
        ["Series", numbers.count(series.height)],
        ["Images", numbers.count(int(series["images"].sum()))],
        ["Labelled rows", numbers.count(rows.height)],
        *([] if source.members else [["Corrections of annotated points", _corrections(source)]]),
    ]
    grades = [
        [
            CONDITION_NAMES[str(condition)],
            *(
                numbers.count(rows.filter(condition=str(condition), grade=grade).height)
                for grade in range(len(GRADES_SHOWN))
            ),
        ]
        for condition in CONDITIONS
    ]
    return [
        data_table(counts, source, bad_files=source.quarantine.height, phantom=phantom),
        "Labels by condition and grade:",
        table(["Condition", *GRADES_SHOWN], grades),
    ]


def _corrections(source: RunSource) -> str:
    return describe_corrections(source.corrections.select("rule", "study_id"))


def _folds(source: RunSource) -> list[str]:
    scored = source.scored
    rows = []
    for fold in scored.folds:
        own = scored.rows.filter(fold=fold)
        rows.append(
            [
                str(fold),
                numbers.count(own["study_id"].n_unique()),
                numbers.count(own.height),
                numbers.loss(scored.score_of(own).score),
                numbers.loss(source.scores["folds"][str(fold)]["weighted_prior"]["score"]),
            ]
        )
    warnings = []
    if source.scores.get("partial"):
        warnings.append("**The run is partial: only the studies of these folds are scored.**")
    if source.scores.get("selected"):
        warnings.append("**Epochs were chosen on the scored folds, so the score is too good.**")
    fitted = (
        "Each study belongs to one fold. Its predictions come from models that were trained on the "
        "other folds, and from an ensemble that was fitted on them."
        if source.members
        else "Each study belongs to one fold. Its predictions come from the model that was trained "
        "on the other folds."
    )
    return [
        fitted,
        table(["Fold", "Studies", "Labelled rows", "Score", "Weighted prior"], rows),
        *warnings,
    ]


def _scores(source: RunSource) -> list[str]:
    scored = source.scored
    notes = []
    if source.reported.oof is not None:
        notes.append(
            f"The lab log reports {numbers.loss(source.reported.oof)} for this experiment, on its "
            "own folds."
        )
    if held_out := source.scores.get("holdout"):
        notes.append(
            f"{held_out['studies']:,} held-out studies, which no model was trained on: "
            f"{numbers.loss(held_out['score'])}; their weighted prior: "
            f"{numbers.loss(held_out['weighted_prior']['score'])}."
        )
    return [
        "Log losses with the competition's weights; lower is better. The 95 % interval comes from "
        "drawing studies with replacement. A model has to beat the weighted prior, which predicts "
        "the same probabilities for every study.",
        scores_table(
            scored.score.as_dict(),
            scored.prior.as_dict(),
            compare([scored]).intervals[0],
            names=PART_NAMES,
            prior_name="Weighted prior",
        ),
        *notes,
    ]


def _groups(source: RunSource) -> list[str]:
    rows = [
        [
            group.by,
            group.value,
            numbers.count(group.studies),
            numbers.loss(group.score),
            numbers.interval(group.interval.low, group.interval.high)
            if group.interval
            else f"fewer than {FEWEST_STUDIES} studies",
        ]
        for group in study_groups(source)
    ]
    return [
        "There are no scores by maker or field strength: lsdc does not read them from the files.",
        table(["", "Group", "Studies", "Score", "95 % interval"], rows),
    ]
