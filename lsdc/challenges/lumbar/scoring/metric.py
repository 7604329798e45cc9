"""The competition's metric: the mean of four weighted log losses.

The four are canal; foraminal and subarticular, left and right pooled; and any_severe_spinal: per
study, whether any level's canal is severe. A row has weight 1, 2 or 4 by its grade, a study that of
its heaviest canal row. The original aligns rows by position, this module by row id. Every row is
first divided by its sum, since versions of scikit-learn differ on rows that do not sum to 1.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES, check_predictions
from lsdc.challenges.lumbar.competition.row_ids import row_id, without_zeros
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADE_WEIGHTS, GRADES
from lsdc.errors import DataError
from lsdc.messages import first_few
from lsdc.tables.checked_csv import require_columns

POOLED = tuple(dict.fromkeys(condition.pooled for condition in CONDITIONS))
PARTS = (*POOLED, "any_severe_spinal")
ROWS = (*PARTS, "score")  # of tables of losses

_EPSILON = float(np.finfo(np.float64).eps)
_POOLED_CODES = {str(condition): POOLED.index(condition.pooled) for condition in CONDITIONS}
_CANAL = POOLED.index("spinal")
_SEVERE = len(GRADES) - 1


@dataclass(frozen=True)
class Score:
    """The score and its four parts; lower is better.

    A part without labelled rows is None, and the score is the mean of the other parts.
    """

    score: float
    spinal: float | None
    foraminal: float | None
    subarticular: float | None
    any_severe_spinal: float | None

    @property
    def unscored_parts(self) -> tuple[str, ...]:
        """The parts without labelled rows, which are not in the mean."""
        return tuple(part for part in PARTS if self.as_dict()[part] is None)

    def as_dict(self) -> dict[str, float | None]:
        """Return the score and its parts under the names of `scores.json`."""
        return asdict(self)


def score(labels: pl.DataFrame, predictions: pl.DataFrame, source: str = "predictions") -> Score:
    """Score predictions against labels, in any order of rows.

    Args:
        labels: study_id, condition, level, grade; rows without a grade are not scored and need no
            prediction.
        predictions: row_id and three probabilities; further columns are allowed.
        source: name of the predictions in messages, for example their path.

    Raises:
        DataError: a labelled row is not predicted, a row id is not among the labels, no row has a
            grade, or `check_predictions` refuses the predictions.

    >>> label = {"study_id": 7, "condition": "spinal_canal_stenosis", "level": "l4_l5", "grade": 2}
    >>> row = {"row_id": "7_spinal_canal_stenosis_l4_l5"} | dict(zip(PROBABILITIES, (2, 1, 1)))
    >>> round(score(pl.DataFrame([label]), pl.DataFrame([row])).spinal, 3)  # -log(1 / 4)
    1.386
    """
    require_columns(predictions, ["row_id"], source)
    bare = without_zeros(pl.col("row_id").cast(pl.String))  # the labels' studies are numbers
    checked = check_predictions(predictions.with_columns(bare), source)
    rows = _align(labels, checked, source)
    return score_arrays(
        studies=rows["study_id"].to_numpy(),
        pooled=rows["condition"].replace_strict(_POOLED_CODES, return_dtype=pl.Int8).to_numpy(),
        grades=rows["grade"].to_numpy(),
        probabilities=rows.select(PROBABILITIES).to_numpy(),
    )


def score_arrays(
    studies: NDArray[np.int64],
    pooled: NDArray[np.int8],
    grades: NDArray[np.int8],
    probabilities: NDArray[np.float64],
) -> Score:
    """Score n labelled rows that are already aligned and normalised.

    Args:
        studies: (n,) study of each row.
        pooled: (n,) index into POOLED.
        grades: (n,) 0, 1 or 2.
        probabilities: (n, 3), each row summing to 1.

    Raises:
        DataError: there are no rows.

    >>> studies, canal, grades = np.array([7, 8]), np.array([0, 0]), np.array([0, 2])
    >>> result = score_arrays(studies, canal, grades, np.full((2, 3), 1 / 3))
    >>> round(result.spinal, 3), round(result.any_severe_spinal, 3), result.unscored_parts
    (1.099, 0.96, ('foraminal', 'subarticular'))
    """
    if not len(grades):
        raise DataError("labels: no row has a grade, expected one or more to score")
    clipped = np.clip(probabilities, _EPSILON, 1 - _EPSILON)
    losses = -np.log(clipped[np.arange(len(grades)), grades])
    weights = np.asarray(GRADE_WEIGHTS)[grades]
    parts = {
        name: _weighted_mean(losses[pooled == code], weights[pooled == code])
        for code, name in enumerate(POOLED)
    }
    canal = pooled == _CANAL
    any_severe = _any_severe(studies[canal], grades[canal], weights[canal], clipped[canal, _SEVERE])
    return _mean_of({**parts, "any_severe_spinal": any_severe})


def _any_severe(
    studies: NDArray[np.int64],
    grades: NDArray[np.int8],
    weights: NDArray[np.float64],
    severe: NDArray[np.float64],
) -> float | None:
    """Return the binary log loss over studies of their canal rows' largest severe probability."""
    members, study = np.unique(studies, return_inverse=True)
    weight, predicted = np.zeros(len(members)), np.zeros(len(members))
    np.maximum.at(weight, study, weights)
    np.maximum.at(predicted, study, severe)
    is_severe = np.zeros(len(members), dtype=bool)
    is_severe[study[grades == _SEVERE]] = True
    return _weighted_mean(-np.log(np.where(is_severe, predicted, 1 - predicted)), weight)


def _weighted_mean(losses: NDArray[np.float64], weights: NDArray[np.float64]) -> float | None:
    return float((losses * weights).sum() / weights.sum()) if len(losses) else None


def _mean_of(parts: Mapping[str, float | None]) -> Score:
    scored = [part for part in parts.values() if part is not None]
    return Score(score=sum(scored) / len(scored), **parts)


def _align(labels: pl.DataFrame, predictions: pl.DataFrame, source: str) -> pl.DataFrame:
    """Return the labelled rows joined with their predictions."""
    known = labels.select(row_id(), "study_id", "condition", "level", "grade")
    if known["row_id"].equals(predictions["row_id"]):
        return known.hstack(predictions.drop("row_id")).drop_nulls("grade")
    rows = known.join(predictions, on="row_id", how="left", maintain_order="left")
    predicted = pl.col(PROBABILITIES[0]).is_not_null()
    if rows.select(predicted.sum()).item() < predictions.height:
        unknown = predictions.join(known, on="row_id", how="anti", maintain_order="left")["row_id"]
        raise DataError(
            f"{source}: {first_few(unknown)} not in train.csv, expected only rows of its studies; "
            "remove them, or use the data that the predictions were made for"
        )
    labelled = rows.filter(pl.col("grade").is_not_null())
    missing = labelled.filter(~predicted)["row_id"]
    if len(missing):
        raise DataError(
            f"{source}: {first_few(missing)} missing of {labelled.height} labelled rows, expected "
            "each once; add their predictions"
        )
    return labelled
