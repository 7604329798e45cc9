"""The blend: one submission of several runs', by their mean or by an ensemble."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.competition.row_ids import split_row_ids
from lsdc.challenges.lumbar.predict.models import EnsembleModels
from lsdc.challenges.lumbar.scoring.submission import assemble_submission
from lsdc.pack.attempts import RunAttempt
from lsdc.pack.blend import mean_where_reached

Attempts = Sequence[RunAttempt[int]]


def blend(rows: pl.DataFrame, attempts: Attempts, priors: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return the submission with the mean of all runs that reached the study of a row.

    A run that reached a study without an image for a row counts with its own prior, as in its own
    submission. A row of a study that no run reached has the mean of the runs' priors.

    Args:
        rows: row_id, the prior's probabilities, and `known`: whether a row asks for anything known.
        attempts: the runs.
        priors: the prior of each run.

    Returns:
        row_id and the three probabilities, one row for each of `rows`, in their order.
    """
    known = rows.filter("known")["row_id"].to_list()
    if not known:
        return rows.drop("known")
    submissions = [
        assemble_submission(_found(each), known, prior)
        for each, prior in zip(attempts, priors, strict=True)
    ]
    values = np.stack([each.select(PROBABILITIES).to_numpy() for each in submissions])
    mean = mean_where_reached(values, _reached(pl.Series("row_id", known), attempts))
    found = pl.DataFrame(mean, schema=list(PROBABILITIES)).with_columns(row_id=pl.Series(known))
    return rows.drop("known").update(found, on="row_id", how="left")


def join(rows: pl.DataFrame, attempts: Attempts, models: EnsembleModels) -> pl.DataFrame:
    """Return the submission of an ensemble, of the predictions that its members have so far.

    Where no member has a row, it is that of the ensemble's prior, as in its own submission.

    Args:
        rows: as in `blend`.
        attempts: the members, in the order of the ensemble.
        models: the ensemble.

    Returns:
        As `blend`.
    """
    known = rows.filter("known")["row_id"].to_list()
    if not known:
        return rows.drop("known")
    found = models.join([_found(each) for each in attempts]).select("row_id", *PROBABILITIES)
    submission = assemble_submission(found, known, models.prior)
    return rows.drop("known").update(submission, on="row_id", how="left")


def _found(attempt: RunAttempt[int]) -> pl.DataFrame:
    if len(found := attempt.predictions):
        return found.select("row_id", *PROBABILITIES)
    return pl.DataFrame(schema={"row_id": pl.String, **dict.fromkeys(PROBABILITIES, pl.Float64)})


def _reached(row_ids: pl.Series, attempts: Attempts) -> NDArray[np.bool_]:
    """Return whether each run reached the study of each row: (runs, rows)."""
    studies = split_row_ids(row_ids, "sample_submission.csv")["study_id"]
    return np.array([studies.is_in(list(each.reached)).to_numpy() for each in attempts])
