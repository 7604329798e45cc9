"""Where the score is lost: by label, by kind of slice, by height in the head, by study."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.report.figures.scored import HEIGHTS, Scored
from lsdc.challenges.hemorrhage.scoring.metric import PART_WEIGHTS, PARTS
from lsdc.challenges.hemorrhage.vocabulary import Label

_ANY = PARTS.index(Label.ANY)
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Group:
    """Some images, or one label of some images.

    Attributes:
        images: the number of images.
        positives: how many of them have the label, or any haemorrhage.
        share: the fraction of the score.
        loss: the mean log loss; of all labels the weighted mean, as in the score.
    """

    images: int
    positives: int
    share: float
    loss: float


@dataclass(frozen=True)
class OfLabel:
    """A label of all images, and of those that have it and have it not."""

    whole: Group
    present: Group
    absent: Group


@dataclass(frozen=True)
class OfStudy:
    """What a study contributes to the score.

    Attributes:
        study_id: the study.
        group: its images.
        label: the label that costs most in it.
        label_share: the fraction of the score that this label costs there.
    """

    study_id: str
    group: Group
    label: str
    label_share: float


@dataclass(frozen=True)
class WhereLost:
    """The contributions of groups of images to the score; those of each kind add up to 1.

    Attributes:
        labels: each label.
        kinds: the images with haemorrhage, and those without: where studies are known, in studies
            with haemorrhage and in others.
        heights: each fifth of the studies' stacks, lowest first; none where places are not known.
        cells: for each label and fifth, that label of the fifth's images.
    """

    labels: dict[str, OfLabel]
    kinds: dict[str, Group]
    heights: tuple[Group, ...]
    cells: dict[tuple[str, int], Group]


def where_lost(scored: Scored) -> WhereLost:
    """Split the score among its images and labels."""
    labels = {}
    for number, part in enumerate(PARTS):
        has = scored.labels[:, number] == 1
        groups = (_group(scored, each, number) for each in (np.ones_like(has), has, ~has))
        labels[part] = OfLabel(*groups)
    heights = scored.heights if scored.has_places else None
    fifths = [] if heights is None else [heights == height for height in range(HEIGHTS)]
    return WhereLost(
        labels=labels,
        kinds={name: _group(scored, mask) for name, mask in _kinds(scored).items()},
        heights=tuple(_group(scored, mask) for mask in fifths),
        cells={
            (part, height): _group(scored, mask, number)
            for number, part in enumerate(PARTS)
            for height, mask in enumerate(fifths)
        },
    )


def costliest_studies(scored: Scored, most: int) -> list[OfStudy]:
    """Return the studies that cost most, the worst first; none where studies are not known."""
    if scored.rows["study_id"].null_count():
        return []
    costs = pl.DataFrame(scored.costs, schema=list(PARTS))
    worst = (
        scored.rows.select("study_id")
        .hstack(costs)
        .group_by("study_id", maintain_order=True)
        .agg(pl.col(PARTS).sum())
        .with_columns(cost=pl.sum_horizontal(PARTS))
        .sort("cost", descending=True, maintain_order=True)
        .head(most)
    )
    found = []
    for row in worst.iter_rows(named=True):
        mask = (scored.rows["study_id"] == row["study_id"]).to_numpy()
        label = max(PARTS, key=lambda part: row[part])
        share = row[label] / scored.score.score
        found.append(OfStudy(row["study_id"], _group(scored, mask), label, share))
    return found


def share_of_studies(scored: Scored, part: float) -> float:
    """Return the share of the score of the costliest studies, as large a part of all studies."""
    costs = scored.rows.select("study_id", cost=scored.costs.sum(axis=1))
    by_study = costs.group_by("study_id").agg(pl.col("cost").sum())["cost"].sort(descending=True)
    return float(by_study.head(max(1, round(part * len(by_study)))).sum()) / scored.score.score


def _kinds(scored: Scored) -> dict[str, Mask]:
    bleeds = scored.labels[:, _ANY] == 1
    if scored.rows["study_id"].null_count():
        return {"with haemorrhage": bleeds, "without": ~bleeds}
    in_study = scored.rows.select(pl.col("label_any").max().over("study_id") == 1).to_series()
    affected = in_study.to_numpy()
    return {
        "with haemorrhage": bleeds,
        "without, in studies with haemorrhage": ~bleeds & affected,
        "in studies without haemorrhage": ~bleeds & ~affected,
    }


def _group(scored: Scored, images: Mask, label: int | None = None) -> Group:
    numbers: Sequence[int] = range(len(PARTS)) if label is None else [label]
    count = int(images.sum())
    losses, costs = (table[images][:, numbers] for table in (scored.losses, scored.costs))
    weights = PART_WEIGHTS[numbers]
    mean = float(losses.sum(axis=0) @ weights / weights.sum() / count) if count else 0.0
    return Group(
        images=count,
        positives=int(scored.labels[images, _ANY if label is None else label].sum()),
        share=float(costs.sum() / scored.score.score),
        loss=mean,
    )
