"""A run's model card in Markdown: what its models are, their data, their scores, their limits."""

from pathlib import Path

from lsdc import __version__
from lsdc.challenges.ink.report.content import warnings_of
from lsdc.challenges.ink.report.sources import RunSource
from lsdc.report import numbers
from lsdc.report.markdown import table
from lsdc.report.runs.card import data_table, digests_table, is_phantom, limits_list, models_table

_ANSWERS = Path("answers", "inklabels_rle.csv")  # in a phantom's folder
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
    phantom = is_phantom(source, _ANSWERS)
    parts = [
        f"# Model card: {source.name}",
        _SUMMARY,
        *(f"**{text}**" for text in warnings_of(source)),
        "## The models",
        models_table(_models(source), source, source.folds),
        "## Intended use",
        _USE,
        "## What the models are not for",
        limits_list(_NOT_FOR, phantom=phantom),
        "## Training data",
        data_table(_data(source), source, bad_files=source.quarantine.height, phantom=phantom),
        "## Scores",
        *_scores(source),
        "## Reproducing the run",
        digests_table(source, source.trained),
    ]
    return "\n\n".join(parts) + "\n"


def _models(source: RunSource) -> list[list[str]]:
    settings = source.settings
    named = ("model.encoder", "model.backbone", "model.decoder", "tiles.size_px")
    rows = [[name, str(settings[name])] for name in named if name in settings]
    layers = settings.get("tiles.groups", 0) * settings.get("tiles.group_layers", 0)
    return [
        *rows,
        ["Layers", str(layers)],
        ["Masks of the test set", source.rules.final.describe()],
    ]


def _data(source: RunSource) -> list[list[str]]:
    training = source.regions.filter(split="train")
    mask, ink = (int(training[name].sum()) for name in ("mask_pixels", "ink_pixels"))
    return [
        ["Fragments", numbers.count(training["fragment"].n_unique())],
        ["Pixels inside the mask", numbers.count(mask)],
        ["Ink, of these", numbers.percent(ink / max(mask, 1))],
    ]


def _scores(source: RunSource) -> list[str]:
    scores, prior = source.scores, source.scores["weighted_prior"]
    names = [*(name for name in prior if name != "score"), "score"]
    rows = [
        [
            name if name != "score" else "mean",
            numbers.loss(scores[name]),
            numbers.loss(prior[name]),
        ]
        for name in names
    ]
    return [
        "F0.5 over all pixels of a fragment; higher is better. Each region is predicted by the "
        "model that was trained on the other folds, and cut by a rule that was fitted on them.",
        table(["Fragment", "Out of fold", "Whole mask"], rows),
    ]
