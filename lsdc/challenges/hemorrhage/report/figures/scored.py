"""Scored predictions: what each label of each image contributes to the score.

The score is a weighted mean of the mean losses of the labels. So a label of an image contributes
its loss times the label's weight, divided by the sum of the weights and by the number of images.
All contributions add up to the score.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.scoring.metric import (
    PART_WEIGHTS,
    PARTS,
    Score,
    losses,
    score_arrays,
)
from lsdc.challenges.hemorrhage.scoring.oof import LABEL_COLUMNS
from lsdc.challenges.hemorrhage.scoring.prior import label_shares, predict_prior
from lsdc.errors import DataError

HEIGHTS = 5
_ABOUT = {
    "study_id": pl.String,
    "patient": pl.String,
    "fold": pl.Int32,
    "slice": pl.Int32,
    "slices": pl.Int32,
}


@dataclass(frozen=True)
class Scored:
    """Predictions of labelled images, with the loss of each label.

    Attributes:
        name: the run, or the file of the predictions.
        rows: image_id, the labels (`LABEL_COLUMNS`), the probabilities, and where they are known:
            study_id, patient, fold, slice (the number in the study, from 1, lowest first), slices
            (how many the study has). A row per image.
    """

    name: str
    rows: pl.DataFrame

    @cached_property
    def labels(self) -> NDArray[np.int8]:
        """The labels, (n, 6)."""
        return self.rows.select(LABEL_COLUMNS).to_numpy()

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """The probabilities, (n, 6)."""
        return self.rows.select(PARTS).to_numpy()

    @cached_property
    def losses(self) -> NDArray[np.float64]:
        """The log losses, (n, 6)."""
        return losses(self.labels, self.probabilities)

    @cached_property
    def costs(self) -> NDArray[np.float64]:
        """The contributions to the score, (n, 6), which add up to it."""
        weights = PART_WEIGHTS / PART_WEIGHTS.sum() / len(self.losses)
        found: NDArray[np.float64] = self.losses * weights
        return found

    @cached_property
    def score(self) -> Score:
        """The score of all images."""
        return score_arrays(self.labels, self.probabilities)

    @cached_property
    def prior(self) -> Score:
        """The score of the prior on the same images."""
        return prior_of(self.rows)

    @cached_property
    def folds(self) -> tuple[int, ...]:
        """The folds of the images; none if the predictions have no folds."""
        return tuple(self.rows["fold"].drop_nulls().unique().sort().to_list())

    @cached_property
    def has_patients(self) -> bool:
        """Whether the patient of each image is known, so that there are intervals."""
        return not self.rows["patient"].null_count() and self.rows["patient"].n_unique() > 1

    @cached_property
    def has_places(self) -> bool:
        """Whether the study and the slice of each image are known."""
        return not (self.rows["study_id"].null_count() or self.rows["slice"].null_count())

    @cached_property
    def heights(self) -> NDArray[np.int64]:
        """The fifth of its study that each image is in, (n,), from 0, lowest first."""
        place = (self.rows["slice"] - 1).to_numpy() / self.rows["slices"].to_numpy()
        found: NDArray[np.int64] = (place * HEIGHTS).astype(np.int64)
        return found

    def score_of(self, rows: pl.DataFrame) -> Score:
        """Return the score of some of the images."""
        return score_arrays(rows.select(LABEL_COLUMNS).to_numpy(), rows.select(PARTS).to_numpy())


def prior_of(rows: pl.DataFrame) -> Score:
    """Return the score of the images' own prior: each label's share among them."""
    labels = rows.select(pl.col(f"label_{part}").alias(part) for part in PARTS)
    prior = predict_prior(rows["image_id"], label_shares(labels))
    return score_arrays(labels.to_numpy(), prior.select(PARTS).to_numpy())


def scored(name: str, rows: pl.DataFrame, places: pl.DataFrame | None = None) -> Scored:
    """Return scored predictions.

    Args:
        name: the run, or the file of the predictions.
        rows: as in `Scored`; what is not known may be missing.
        places: image_id, slice and slices of images, from `number_slices`.
    """
    if places is not None:
        rows = rows.join(places, on="image_id", how="left", maintain_order="left")
    known = [
        (pl.col(column) if column in rows.columns else pl.lit(None)).cast(kind).alias(column)
        for column, kind in _ABOUT.items()
    ]
    return Scored(name, rows.select("image_id", *known, *LABEL_COLUMNS, *PARTS))


def number_slices(images: pl.DataFrame) -> pl.DataFrame:
    """Number the slices of each study from 1, in the order of its series' stacks.

    Args:
        images: image_id, study_id, series_id and order.

    Returns:
        image_id, slice, slices (the number of the study's images).
    """
    within = pl.len().over("study_id").cast(pl.Int32)
    return images.sort("study_id", "series_id", "order", "image_id").select(
        "image_id",
        slice=pl.int_range(1, pl.len() + 1).over("study_id").cast(pl.Int32),
        slices=within,
    )


def common_images(given: Sequence[Scored]) -> list[Scored]:
    """Return the predictions of the images that all of them score, in the order of the first.

    What only some know of the images (studies, patients, slices), the others get from them.

    Raises:
        DataError: there are no such images, or an image has different labels.
    """
    first = given[0]
    kept = first.rows.select("image_id", *LABEL_COLUMNS)
    for each in given[1:]:
        both = kept.join(
            each.rows.select("image_id", *LABEL_COLUMNS), on="image_id", maintain_order="left"
        )
        if both.is_empty():
            raise DataError(
                f"{first.name} and {each.name}: no image in common, expected predictions of the "
                "same images; compare runs on the same data"
            )
        torn = both.filter(
            pl.any_horizontal(pl.col(name) != pl.col(f"{name}_right") for name in LABEL_COLUMNS)
        )
        if torn.height:
            raise DataError(
                f"{first.name} and {each.name}: {torn.height:,} images have different labels (the "
                f"first: {torn['image_id'][0]}), expected equal ones; compare runs on the same data"
            )
        kept = both.select("image_id", *LABEL_COLUMNS)
    images = kept.select("image_id")
    joined = [images.join(each.rows, on="image_id", maintain_order="left") for each in given]
    about = ["study_id", "patient", "slice", "slices"]
    known = pl.concat([each.select("image_id", *about) for each in joined])
    filled = known.group_by("image_id").agg(pl.col(about).drop_nulls().first())
    rows = (each.drop(about).join(filled, on="image_id", maintain_order="left") for each in joined)
    return [scored(each.name, own) for each, own in zip(given, rows, strict=True)]
