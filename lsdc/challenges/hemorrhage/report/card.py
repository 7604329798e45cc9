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
from lsdc.report.runs.record import versions_of

_PHANTOM = "phantom"
_ANSWERS = Path("answers", "bleeds.csv")  # in a phantom's folder
_WEIGHTS = "model.safetensors"


def build_card(source: RunSource) -> str:
    """Return the model card of a run."""
    parts = [
        f"# Model card: {source.name}",
        _SUMMARY,
        *(f"**{text}**" for text in (*warnings_of(source), *warn_of_prior(source.scored))),
        "## The models",
        _models(source),
        "## Intended use",
        _USE,
        "## What the models are not for",
        _not_for(source),
        "## Training data",
        _data(source),
        "## Folds",
        *_folds(source),
        "## Scores",
        *_scores(source),
        "## Reproducing the run",
        _reproducing(source),
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


def _not_for(source: RunSource) -> str:
    items = list(_NOT_FOR)
    if _is_phantom(source):
        items.insert(
            0,
            "Anything but trying out the software. The models were trained on a phantom, which "
            "is synthetic, and have never seen a real image.",
        )
    return "\n".join(f"- {item}" for item in items)


def _models(source: RunSource) -> str:
    settings, facts = source.settings, [fold.facts for fold in source.folds]
    folds = len(source.scored.folds)
    rows = [["Models", f"{folds}, one per fold; test images get the mean of their predictions"]]
    if backbone := settings.get("model.backbone"):
        start = "pretrained weights" if settings.get("model.pretrained") else "random weights"
        rows.append(["Backbone", f"{backbone} of timm, from {start}"])
    if source.sequences:
        kind = settings.get("sequence.kind", "a second model")
        rows.append(["Sequence model", f"{kind}, over the slices of a study, one per fold"])
    if size := settings.get("slices.size_px"):
        rows.append(["Input", f"slices of {size} x {size} px, in windows of Hounsfield units"])
    rows.append(["Output", f"probabilities of {', '.join(PARTS)}"])
    if source.record:
        rows += [
            ["Experiment", source.record.experiment],
            ["Begun", f"{source.record.begun:%Y-%m-%d} UTC"],
        ]
    for name, key in (("Device", "device"), ("CPU", "cpu"), ("Seed", "seed")):
        if values := sorted({str(each[key]) for each in facts if key in each}):
            rows.append([name, ", ".join(values)])
    if versions := versions_of(source.folds):
        rows.append(["Versions", ", ".join(versions)])
    return table(["", "Value"], rows)


def _data(source: RunSource) -> str:
    rows = source.scored.rows
    facts = [
        ["Data", "phantom (synthetic)" if _is_phantom(source) else "competition"],
        ["Patients", numbers.count(rows["patient"].n_unique())],
        ["Studies", numbers.count(rows["study_id"].n_unique())],
        ["Slices with labels", numbers.count(rows.height)],
        *(
            [f"Slices with {name.lower()}", numbers.count(int(rows[f"label_{part}"].sum()))]
            for part, name in LABEL_NAMES.items()
        ),
        ["Files that could not be used", numbers.count(source.quarantine.height)],
    ]
    if source.record and source.record.tables:
        facts.append(["SHA-256 of the training tables", f"`{source.record.tables}`"])
    return table(["", "Value"], facts)


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
    prior, agreed = scored.prior.as_dict(), agreements(scored)
    rows = []
    for part, value in scored.score.as_dict().items():
        auc = agreed[part].auc if part in agreed else None
        rows.append(
            [
                PART_NAMES[part],
                numbers.loss(value),
                numbers.interval(spans[part].low, spans[part].high) if spans else numbers.MISSING,
                numbers.loss(prior[part]),
                numbers.MISSING if auc is None else f"{auc:.3f}",
            ]
        )
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
        table(["", "Out of fold", "95 % interval", "Prior", "ROC AUC"], rows),
        *notes,
    ]


def _reproducing(source: RunSource) -> str:
    rows = [[f"Result {path.parent.name}", f"`{path.name}`"] for path in source.results]
    trained = [("Fold", source.folds), ("Sequence", source.sequences)]
    rows += [
        [f"{name} {fold.fold}, {_WEIGHTS}", f"`{fold.facts['digests'][_WEIGHTS]}`"]
        for name, folds in trained
        for fold in folds
    ]
    settings = "`run.json`, next to this file, has all settings. SHA-256 of what was made:"
    return f"{settings}\n\n{table(['', 'SHA-256'], rows)}"


def _is_phantom(source: RunSource) -> bool:
    """Return whether the run was trained on a phantom, the home's or one in another folder."""
    if source.record is None:
        return False
    data = source.record.data
    return data == _PHANTOM or (Path(data) / _ANSWERS).is_file()
