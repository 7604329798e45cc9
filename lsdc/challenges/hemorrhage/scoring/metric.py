"""The competition's metric: the weighted mean of six log losses, in which `any` counts twice.

    L = (2 any + epidural + intraparenchymal + intraventricular + subarachnoid + subdural) / 7

Each is the mean binary log loss over the images, with probabilities clipped to 1e-15 and 1 - 1e-15.
This module aligns rows by image id.
"""

from dataclasses import asdict, dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.competition.predictions import check_predictions
from lsdc.challenges.hemorrhage.vocabulary import LABELS
from lsdc.errors import DataError
from lsdc.messages import first_few

PARTS = tuple(map(str, LABELS))
PART_WEIGHTS = np.array([label.weight for label in LABELS], dtype=np.float64)

_LEAST = 1e-15  # nearer to 0 and 1, probabilities are clipped


@dataclass(frozen=True)
class Score:
    """The score and the log loss of each label; lower is better."""

    score: float
    epidural: float
    intraparenchymal: float
    intraventricular: float
    subarachnoid: float
    subdural: float
    any: float

    def as_dict(self) -> dict[str, float]:
        """Return the score and its parts under the names of `scores.json`."""
        return asdict(self)


def score(labels: pl.DataFrame, predictions: pl.DataFrame, source: str = "predictions") -> Score:
    """Score predictions against labels, in any order of rows.

    Args:
        labels: image_id and the labels, 0 or 1.
        predictions: the probabilities, long or wide (see `check_predictions`).
        source: the name of the predictions in messages, for example their path.

    Raises:
        DataError: an image is not predicted, a predicted image is not among the labels, there is no
            image, or `check_predictions` refuses the predictions.

    >>> label = {"image_id": "ID_1"} | dict.fromkeys(PARTS, 0) | {"subdural": 1, "any": 1}
    >>> quarters = {"image_id": "ID_1"} | dict.fromkeys(PARTS, 0.25)
    >>> round(score(pl.DataFrame([label]), pl.DataFrame([quarters])).score, 6)
    0.758516
    """
    rows = _align(labels, check_predictions(predictions, source), source)
    return score_arrays(labels.select(PARTS).to_numpy(), rows.select(PARTS).to_numpy())


def score_arrays(labels: NDArray[np.int8], probabilities: NDArray[np.float64]) -> Score:
    """Score n images that are already aligned and checked.

    Args:
        labels: (n, 6), 0 or 1, in the order of LABELS.
        probabilities: (n, 6), each from 0 to 1.

    Raises:
        DataError: there is no image.
    """
    if not len(labels):
        raise DataError("labels: there is no image, expected one or more to score")
    parts = losses(labels, probabilities).mean(axis=0)
    return Score(float(combine(parts)), *map(float, parts))


def losses(labels: NDArray[np.int8], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log loss of each image and label, (n, 6)."""
    clipped = np.clip(probabilities.astype(np.float64), _LEAST, 1 - _LEAST)
    # log1p keeps what 1 - p would lose where p is small, as most are.
    found: NDArray[np.float64] = -np.where(labels == 1, np.log(clipped), np.log1p(-clipped))
    return found


def combine(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the score of the six log losses along the last axis."""
    combined: NDArray[np.float64] = parts @ PART_WEIGHTS / PART_WEIGHTS.sum()
    return combined


def _align(labels: pl.DataFrame, predictions: pl.DataFrame, source: str) -> pl.DataFrame:
    """Return the predictions of the labelled images, in the order of the labels."""
    known = labels.select("image_id")
    if known["image_id"].equals(predictions["image_id"]):
        return predictions
    strangers = predictions.join(known, on="image_id", how="anti", maintain_order="left")
    if strangers.height:
        raise DataError(
            f"{source}: {first_few(strangers['image_id'], 'image')} not among the labelled ones, "
            "expected only images with labels; remove them, or use the data that the predictions "
            "were made for"
        )
    missing = known.join(predictions, on="image_id", how="anti", maintain_order="left")
    if missing.height:
        raise DataError(
            f"{source}: {first_few(missing['image_id'], 'image')} missing of {known.height:,} "
            "labelled images, expected each once; add their predictions"
        )
    return known.join(predictions, on="image_id", how="left", maintain_order="left")
