"""The submission: one row for each row id of the sample submission, in its order."""

from pathlib import Path

import numpy as np
import polars as pl

from lsdc.challenges.hemorrhage.competition import row_ids
from lsdc.challenges.hemorrhage.competition.predictions import PROBABILITIES, check_predictions
from lsdc.challenges.hemorrhage.competition.row_ids import ID, LABEL
from lsdc.challenges.hemorrhage.scoring.complete import Filled, complete, warn_of_filled
from lsdc.challenges.hemorrhage.scoring.prior import SMOOTHING, label_shares
from lsdc.errors import DataError
from lsdc.messages import first_few
from lsdc.store.files import write_atomic
from lsdc.store.table_files import write_table

FILLED = "submission_filled.parquet"


def assemble_submission(
    predictions: pl.DataFrame, wanted: pl.Series, images: pl.DataFrame, shares: dict[str, float]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Put predictions in the order of the sample submission; fill missing ones (see `complete`).

    Args:
        predictions: image_id and the probabilities, or a long table; may be empty. Images that are
            not asked for are dropped.
        wanted: the row ids of the sample submission.
        images: image_id, study_id, series_id and order of the usable test images.
        shares: the prior that `label_shares` returns for the training labels.

    Returns:
        `ID` and `Label`, the probability; and `Filled`.

    Raises:
        DataError: there are no row ids, one is malformed, or `check_predictions` refuses the
            predictions.
    """
    source = "sample submission"
    if not len(wanted):
        raise DataError(f"{source}: lists no row id, expected those of the test images")
    rows = wanted.cast(pl.String).alias(ID).to_frame()
    malformed = rows.filter(row_ids.is_malformed().fill_null(True))[ID].fill_null("(empty)")
    if len(malformed):
        raise DataError(
            f"{source}: {first_few(malformed)}: expected row ids of {row_ids.EXPECTED}; copy the "
            "file again"
        )
    cells = row_ids.cells_of(rows[ID])
    found = check_predictions(predictions, "predictions")
    completed, filled = complete(cells.images, found, images, shares)
    values = np.ascontiguousarray(completed.select(PROBABILITIES).to_numpy()).ravel()
    return rows.with_columns(pl.Series(LABEL, values[cells.place])), filled


def write_submission(
    predictions: pl.DataFrame,
    wanted: pl.Series,
    images: pl.DataFrame,
    labels: pl.DataFrame,
    out: Path,
) -> int:
    """Write the submission as CSV, and `submission_filled.parquet` (`Filled`) beside it.

    Args:
        predictions: see `assemble_submission`.
        wanted: the row ids of the sample submission.
        images: split, image_id, study_id, series_id and order of the usable images.
        labels: `competition.tables.Labels`, whose shares predict what else nothing does.
        out: the file to write.

    Returns:
        Number of rows written.
    """
    testing = images.filter(pl.col("split") == "test")
    shares = label_shares(labels, SMOOTHING)
    table, filled = assemble_submission(predictions, wanted, testing, shares)
    warn_of_filled("submission", filled)
    write_table(Filled, filled, out.with_name(FILLED))
    with write_atomic(out) as temporary:
        table.write_csv(temporary)
    return len(table)
