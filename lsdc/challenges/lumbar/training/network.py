"""The network of an experiment, its loss and mixing."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.scoring.metric import POOLED
from lsdc.challenges.lumbar.slices.slots import Part, Place, list_places
from lsdc.challenges.lumbar.training.halves import build_half
from lsdc.challenges.lumbar.vocabulary import (
    CONDITIONS,
    GRADES,
    LEVELS,
    Condition,
    SeriesDescription,
    Side,
)
from lsdc.training.losses.graded import AnyWorst, Finding, GradedLoss, probabilities_by
from lsdc.training.mixing import HalfMixing, Mixing
from lsdc.training.models.auxiliary import View
from lsdc.training.models.model import SliceModel, Task

_CANAL = CONDITIONS.index(Condition.SPINAL_CANAL_STENOSIS)


def build_model(
    experiment: Experiment, *, pretrained: bool, weights: Path | None = None
) -> SliceModel:
    """Build a model with one head per condition, one class per grade, and an optional level head.

    Weights depend on torch's seed, except those of pretrained backbones; `weights` is the path of
    these if they are not on the hub or in its cache.

    Raises:
        SettingsError: the backbone or its weights do not exist.
    """
    places = list_places(experiment.slices)
    return SliceModel(
        experiment.model,
        Task(
            slices=len(places),
            shape=experiment.crops.shape,
            heads=len(CONDITIONS),
            classes=len(GRADES),
            groups=len(LEVELS) if experiment.loss.level_weight else 0,
            own=tuple(own_places(condition, places) for condition in CONDITIONS),
            second=tuple(number for number, place in enumerate(places) if place.part == Part.AXIAL),
            views=list_views(places),
            grades_views=experiment.loss.view_weight > 0,
            marked=(
                tuple(marked_places(condition, places) for condition in CONDITIONS)
                if experiment.loss.slice_weight
                else ()
            ),
            items=len(LEVELS),
        ),
        second_backbone=experiment.model.axial_backbone,
        pretrained=pretrained,
        weights=weights,
    )


def build_loss(experiment: Experiment) -> GradedLoss:
    """Build the loss of that model's outputs."""
    config = experiment.loss
    return GradedLoss(
        config,
        class_weights=config.grade_weights,
        findings=_findings(experiment),
        average="labels" if config.average == "labels" else "findings",
        any_worst=AnyWorst(_CANAL, config.any_weight) if config.any_weight else None,
        group_weight=config.level_weight,
        shown=[head for view in list_views(list_places(experiment.slices)) for head in view.heads],
    )


def _findings(experiment: Experiment) -> list[Finding]:
    """Return the heads of each condition to learn, left and right together, and their weight.

    With `crops.by_side` left heads also learn the right of mirrored samples, so both belong to it.
    """
    learnt = {Condition(name).pooled for name in experiment.labels.conditions}
    return [
        Finding(tuple(head for head, each in enumerate(CONDITIONS) if each.pooled == name), weight)
        for name, weight in zip(POOLED, experiment.loss.condition_weights, strict=True)
        if name in learnt
    ]


def build_mixing(experiment: Experiment) -> Mixing:
    """Build the mixing of samples within a batch."""
    augment, places = experiment.augment, list_places(experiment.slices)
    own = [own_places(condition, places) for condition in CONDITIONS]
    halves = HalfMixing(
        cutmix=augment.half_cutmix,
        mixup=augment.half_mixup,
        halves=[build_half(side, experiment, own) for side in Side],
    )
    return Mixing(augment, classes=len(GRADES), groups=len(LEVELS), halves=halves)


def read_grades(experiment: Experiment, logits: Tensor) -> Tensor:
    """Return the probabilities (n, conditions, grades) from that model's logits of the grades."""
    return probabilities_by(experiment.loss.kind)(logits)


def own_places(condition: Condition, places: Sequence[Place]) -> tuple[int, ...]:
    """Return the slots that show a condition best, or all slots if there are none of these.

    These are the middle for the canal, the side for foramina, and axial slices for subarticular
    zones, or without axial slices the middle and the side, between which these zones are.
    """
    parts = {
        "spinal": [{Part.MIDDLE}],
        "foraminal": [{Part(condition.side or Part.MIDDLE)}],
        "subarticular": [{Part.AXIAL}, {Part.MIDDLE, Part(condition.side or Part.MIDDLE)}],
    }[condition.pooled]
    for part in parts:
        own = tuple(number for number, place in enumerate(places) if place.part in part)
        if own:
            return own
    return tuple(range(len(places)))


def list_views(places: Sequence[Place]) -> tuple[View, ...]:
    """Return the kinds of series that have slots, and the conditions that each shows.

    T1 shows the foramina, T2 the canal, and axial slices the canal and the subarticular zones.
    """
    shown = {
        SeriesDescription.SAGITTAL_T1: {"foraminal"},
        SeriesDescription.SAGITTAL_T2: {"spinal"},
        SeriesDescription.AXIAL_T2: {"spinal", "subarticular"},
    }
    views = [
        View(
            places=_of_series(description, places),
            heads=tuple(head for head, each in enumerate(CONDITIONS) if each.pooled in names),
        )
        for description, names in shown.items()
    ]
    return tuple(view for view in views if view.places)


def marked_places(condition: Condition, places: Sequence[Place]) -> tuple[int, ...]:
    """Return the slots of the series on which a condition is annotated; all without such slots."""
    return _of_series(condition.shown_on, places) or tuple(range(len(places)))


def _of_series(description: SeriesDescription, places: Sequence[Place]) -> tuple[int, ...]:
    return tuple(number for number, place in enumerate(places) if place.description == description)
