"""Scored predictions: what each row, and each study, contributes to the score.

The score is the mean of its parts, and a part is a weighted mean. So a row of the canal, for
example, contributes its loss times its weight, divided by the weight of all canal rows and by the
number of parts. All contributions add up to the score.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from lsdc.challenges.lumbar.columns import KIND
from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES, check_predictions
from lsdc.challenges.lumbar.competition.row_ids import row_id
from lsdc.challenges.lumbar.scoring.metric import PARTS, Score, score
from lsdc.challenges.lumbar.scoring.prior import weighted_prior
from lsdc.challenges.lumbar.vocabulary import GRADE_WEIGHTS, GRADES
from lsdc.errors import DataError

ANY_SEVERE = PARTS[-1]
_EPSILON = float(np.finfo(np.float64).eps)
_SEVERE = len(GRADES) - 1


@dataclass(frozen=True)
class Scored:
    """Predictions of labelled rows, with the loss of each.

    Attributes:
        name: the run, or the file of the predictions.
        rows: row_id, study_id, condition, level, fold (null without folds), grade, the three
            probabilities, kind (the pooled condition), weight, loss and share (the contribution
            to the score).
    """

    name: str
    rows: pl.DataFrame

    @cached_property
    def score(self) -> Score:
        """The score of all rows."""
        return self.score_of(self.rows)

    @cached_property
    def prior(self) -> Score:
        """The score of the weighted prior on the same rows."""
        return score(_labels(self.rows), weighted_prior(_labels(self.rows)), "weighted prior")

    @cached_property
    def folds(self) -> tuple[int, ...]:
        """The folds of the rows; none if the predictions have no folds."""
        return tuple(self.rows["fold"].drop_nulls().unique().sort().to_list())

    def score_of(self, rows: pl.DataFrame) -> Score:
        """Return the score of some of the rows."""
        return score(_labels(rows), rows, self.name)

    @cached_property
    def any_severe(self) -> pl.DataFrame:
        """One row per study with canal labels: study_id, weight, loss, share of any_severe_spinal.

        Its columns `is_severe` and `severe` are the label and the prediction. `row_id` is the case
        that answers for the loss: of the rows with a severe label, or of all rows if there are
        none, the one with the largest severe probability.
        """
        is_severe = pl.col("grade") == _SEVERE
        canal = self.rows.filter(pl.col("kind") == "spinal")
        studies = canal.group_by("study_id", maintain_order=True).agg(
            pl.col("weight").max(),
            pl.col("severe").max(),
            row_id=pl.col("row_id").get((2 * is_severe + pl.col("severe")).arg_max()),
            is_severe=is_severe.any(),
        )
        right = pl.when("is_severe").then(pl.col("severe")).otherwise(1 - pl.col("severe"))
        loss = -right.clip(_EPSILON, 1 - _EPSILON).log()
        return studies.with_columns(loss=loss).with_columns(
            share=pl.col("weight") * pl.col("loss") / pl.col("weight").sum() / self.parts
        )

    @cached_property
    def cases(self) -> pl.DataFrame:
        """The rows with all that they cost: these costs add up to the score.

        `any_severe` is what a study contributes to the part any_severe_spinal, for the row that
        answers for it, and 0 for the others; `cost` is the sum of `share` and `any_severe`.
        """
        charged = self.any_severe.select("row_id", any_severe="share")
        return (
            self.rows.join(charged, on="row_id", how="left", maintain_order="left")
            .with_columns(pl.col("any_severe").fill_null(0.0))
            .with_columns(cost=pl.col("share") + pl.col("any_severe"))
        )

    @property
    def parts(self) -> int:
        """The number of parts that the score is the mean of."""
        return self.rows["kind"].n_unique() + ("spinal" in self.rows["kind"])


def scored(name: str, labels: pl.DataFrame, predictions: pl.DataFrame) -> Scored:
    """Join labels and predictions.

    Args:
        name: the run, or the file of the predictions.
        labels: study_id, condition, level, grade, and perhaps fold; rows without a grade are left
            out.
        predictions: row_id and three probabilities for every labelled row.

    Raises:
        DataError: `score` refuses the predictions, or no row has a grade.
    """
    graded = labels.drop_nulls("grade").with_columns(row_id())
    if "fold" not in graded.columns:
        graded = graded.with_columns(fold=pl.lit(None, dtype=pl.Int32))
    score(labels, predictions, name)  # refuses what cannot be scored
    checked = check_predictions(predictions, name)
    rows = graded.join(checked, on="row_id", how="left", maintain_order="left")
    return Scored(name, _with_losses(rows))


def common_rows(all_scored: list[Scored]) -> list[Scored]:
    """Return the predictions of the rows that all of them score, in the order of the first.

    Raises:
        DataError: there are no such rows, or a row has different grades.
    """
    first = all_scored[0]
    kept = first.rows.select("row_id", "grade")
    for each in all_scored[1:]:
        both = kept.join(each.rows.select("row_id", other="grade"), on="row_id")
        if both.is_empty():
            raise DataError(
                f"{first.name} and {each.name}: no labelled row in common, expected predictions of "
                "the same studies; compare runs on the same data"
            )
        torn = both.filter(pl.col("grade") != pl.col("other"))
        if torn.height:
            raise DataError(
                f"{first.name} and {each.name}: {torn.height:,} rows have different grades (the "
                f"first: {torn['row_id'][0]}), expected equal labels; compare runs on the same data"
            )
        kept = kept.join(each.rows, on="row_id", how="semi", maintain_order="left")
    rows = kept.select("row_id")
    joined = [rows.join(each.rows, on="row_id", maintain_order="left") for each in all_scored]
    return [
        Scored(each.name, _with_losses(own)) for each, own in zip(all_scored, joined, strict=True)
    ]


def _labels(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select("study_id", "condition", "level", "grade")


def _with_losses(rows: pl.DataFrame) -> pl.DataFrame:
    """Add kind, weight, loss and share to rows with grades and probabilities."""
    grades = rows["grade"].to_numpy()
    given = rows.select(PROBABILITIES).to_numpy()[np.arange(len(grades)), grades]
    weighted = rows.with_columns(
        KIND.alias("kind"),
        weight=pl.Series(np.asarray(GRADE_WEIGHTS)[grades]),
        loss=pl.Series(-np.log(np.clip(given, _EPSILON, 1 - _EPSILON))),
    )
    kinds = weighted["kind"]
    parts = kinds.n_unique() + ("spinal" in kinds)
    of_part = pl.col("weight").sum().over("kind")
    return weighted.with_columns(share=pl.col("weight") * pl.col("loss") / of_part / parts)
