"""A run's model card in Markdown: what its models are, their data, their scores, their limits."""

from lsdc import __version__
from lsdc.challenges.ink.report.content import warnings_of
from lsdc.challenges.ink.report.sources import RunSource
from lsdc.report import numbers
from lsdc.report.markdown import table
from lsdc.report.runs.record import versions_of

_WEIGHTS = "model.safetensors"

_SUMMARY = (
    "Models that find ink on the surface of carbonised papyrus, in the layers of a CT volume that "
    "follow the surface. They were trained and scored for the competition Vesuvius Challenge - Ink "
    f"Detection. Written by lsdc {__version__}."
)
_USE = "Research and competitions: predicting the competition's test set, and comparing methods."
_NOT_FOR = (
    "Reading a text by themselves. Strokes that a model draws may not be there; a reader has to "
    "see the papyrus, too.",
    "Scans of another voxel size or energy, other scrolls, and volumes whose layers do not follow "
    "the surface. Scores on other fragments of the same kind are lower already.",
)


def build_card(source: RunSource) -> str:
    """Return the model card of a run."""
    parts = [
        f"# Model card: {source.name}",
        _SUMMARY,
        *(f"**{text}**" for text in warnings_of(source)),
        "## The models",
        _models(source),
        "## Intended use",
        _USE,
        "## What the models are not for",
        "\n".join(f"- {text}" for text in _NOT_FOR),
        "## Scores",
        *_scores(source),
        "## Reproducing the run",
        _reproducing(source),
    ]
    return "\n\n".join(parts) + "\n"


def _models(source: RunSource) -> str:
    settings = source.settings
    named = ("model.encoder", "model.backbone", "model.decoder", "tiles.size_px")
    rows = [[name, str(settings[name])] for name in named if name in settings]
    layers = settings.get("tiles.groups", 0) * settings.get("tiles.group_layers", 0)
    rows += [["Layers", str(layers)], ["Masks of the test set", source.rules.final.describe()]]
    facts = [fold.facts for fold in source.folds]
    for name, key in (("Device", "device"), ("CPU", "cpu"), ("Seed", "seed")):
        if values := sorted({str(each[key]) for each in facts if key in each}):
            rows.append([name, ", ".join(values)])
    if versions := versions_of(source.folds):
        rows.append(["Versions", ", ".join(versions)])
    return table(["", "Value"], rows)


def _scores(source: RunSource) -> list[str]:
    scores = source.scores
    rows = [
        [
            name if name != "score" else "mean",
            numbers.loss(scores[name]),
            numbers.loss(scores["weighted_prior"][name]),
        ]
        for name in (*(each for each in scores["weighted_prior"] if each != "score"), "score")
    ]
    return [
        "F0.5 over all pixels of a fragment; higher is better. Each region is predicted by the "
        "model that was trained on the other folds, and cut by a rule that was fitted on them.",
        table(["Fragment", "Out of fold", "Whole mask"], rows),
    ]


def _reproducing(source: RunSource) -> str:
    rows = [[f"Result {path.parent.name}", f"`{path.name}`"] for path in source.results]
    rows += [
        [f"Fold {fold.fold}, {_WEIGHTS}", f"`{fold.facts['digests'][_WEIGHTS]}`"]
        for fold in source.folds
    ]
    settings = "`run.json`, next to this file, has all settings. SHA-256 of what was made:"
    return f"{settings}\n\n{table(['', 'SHA-256'], rows)}"
