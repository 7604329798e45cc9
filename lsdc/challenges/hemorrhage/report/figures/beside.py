"""What stands beside a run's figures: those reported for its experiment, those of a first model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from lsdc.challenges.hemorrhage.competition.predictions import check_predictions
from lsdc.challenges.hemorrhage.report.figures.scored import Scored
from lsdc.challenges.hemorrhage.report.figures.sources import RunSource
from lsdc.challenges.hemorrhage.scoring.metric import PARTS, losses
from lsdc.challenges.hemorrhage.scoring.oof import LABEL_COLUMNS
from lsdc.store.exact_names import read_parquet


@dataclass(frozen=True)
class TwoModels:
    """The scores of a fold's slice model and of the sequence model that reads it.

    Attributes:
        images: the number of images that both predict.
        slice_score: the slice model's score of them.
        sequence_score: the final score of the same images.
    """

    images: int
    slice_score: float
    sequence_score: float


def two_models(source: RunSource) -> dict[int, TwoModels]:
    """Score the slice models of a run with sequence models, by fold; empty without these."""
    found = {}
    trained = {fold.fold for fold in source.folds}
    for fold in (each.fold for each in source.sequences if each.fold in trained):
        path = source.home.fold(source.name, fold) / "oof.parquet"
        if not path.is_file():
            continue
        own = check_predictions(read_parquet(path), str(path))
        final = source.scored.rows.filter(fold=fold)
        labels = final.select("image_id", *LABEL_COLUMNS)
        alone = labels.join(own, on="image_id", maintain_order="left")
        both = final.join(own.select("image_id"), on="image_id", how="semi", maintain_order="left")
        if both.height:
            score_of = source.scored.score_of
            found[fold] = TwoModels(both.height, score_of(alone).score, score_of(both).score)
    return found


def training_loss(rows: pl.DataFrame, loss: Mapping[str, Any]) -> float:
    """Return the loss by which the notes' experiments were validated, over all six labels.

    It is the mean over images and labels with the experiment's weights of labels (and of positive
    ones) as factors, so it is larger than the metric, by 7/6 with the metric's own weights.

    Args:
        rows: labels and probabilities of images.
        loss: the experiment's settings of the loss.
    """
    labels = rows.select(LABEL_COLUMNS).to_numpy()
    factors = np.asarray(loss["weights"]) * np.where(labels == 1, loss["positive_weights"], 1.0)
    return float((losses(labels, rows.select(PARTS).to_numpy()) * factors).mean())


def accuracy(rows: pl.DataFrame) -> float:
    """Return the share of right labels at one half, over all six labels."""
    labels, given = rows.select(LABEL_COLUMNS).to_numpy(), rows.select(PARTS).to_numpy()
    return float(((given >= 0.5) == (labels == 1)).mean())


def leaky_patients(scored: Scored) -> int:
    """Return the number of patients with images in several folds."""
    dealt = scored.rows.drop_nulls("patient").group_by("patient").agg(pl.col("fold").n_unique())
    return dealt.filter(pl.col("fold") > 1).height
