"""The submission: one row for each row id of the sample submission, in its order."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES, check_predictions
from lsdc.challenges.lumbar.competition.row_ids import split_row_ids, with_row_id, without_zeros
from lsdc.challenges.lumbar.scoring.prior import prior_table
from lsdc.errors import DataError
from lsdc.store.files import write_atomic


def assemble_submission(
    predictions: pl.DataFrame, row_ids: Sequence[str], prior: pl.DataFrame
) -> pl.DataFrame:
    """Put predictions in the order of `sample_submission.csv`; fill missing ones by the prior.

    Args:
        predictions: the three probabilities, with row_id or with study_id, condition and level;
            may be empty. Rows that are not in `row_ids` are dropped.
        row_ids: the row ids of `sample_submission.csv`.
        prior: the prior that `prior_table` returns for the training labels.

    Returns:
        row_id and the three probabilities, each row summing to 1.

    Raises:
        DataError: there are no row ids, one has an unknown condition or level, or
            `check_predictions` refuses the predictions.
    """
    source = "sample_submission.csv"
    if not row_ids:
        raise DataError(f"{source}: lists no row id, expected those of the test studies")
    wanted = pl.Series("row_id", row_ids, dtype=pl.String)
    cells = split_row_ids(wanted, source).with_columns(wanted)
    rows = cells.join(prior, on=["condition", "level"], how="left", maintain_order="left")
    found = check_predictions(with_row_id(predictions), "predictions")
    bare = without_zeros(pl.col("row_id")).alias("bare")  # predictions have study ids as numbers
    rows = rows.with_columns(bare).update(found.select(bare, *PROBABILITIES), on="bare", how="left")
    return check_predictions(rows.select("row_id", *PROBABILITIES), "submission")


def write_submission(
    predictions: pl.DataFrame, row_ids: Sequence[str], labels: pl.DataFrame, out: Path
) -> int:
    """Write the submission as CSV; rows without a prediction get the prior of `labels`.

    Returns:
        Number of rows written.
    """
    table = assemble_submission(predictions, row_ids, prior_table(labels))
    with write_atomic(out) as temporary:
        table.write_csv(temporary)
    return len(table)
