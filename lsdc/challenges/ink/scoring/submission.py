"""Score a file of predicted masks, and write one."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from lsdc.challenges.ink.competition.pictures import read_mask
from lsdc.challenges.ink.competition.predictions import read_predictions
from lsdc.challenges.ink.competition.run_length import decode
from lsdc.challenges.ink.competition.tables import ID, PREDICTED, labelled_fragments
from lsdc.challenges.ink.scoring.metric import Counts, count, mean_score
from lsdc.errors import DataError
from lsdc.messages import first_few
from lsdc.store.files import write_atomic

SCORE = "score"  # the key of the mean over fragments


def score_submission(path: Path, data: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Score a submission against the labels of training fragments, and all ones beside it.

    Args:
        path: a CSV or Parquet file with a row for each labelled fragment.
        data: the competition's folder; only the pictures of its labels are read.

    Returns:
        `score`, the mean over the fragments, and the F0.5 of each fragment by its name, in the
        order of the file's rows; and the same of a prediction that sets every pixel.

    Raises:
        DataError: the file or the labels cannot be read; a fragment of the file has no labels; a
            labelled one is not in the file; or its runs are malformed or beyond the frame.
    """
    given, labels = read_predictions(path), labelled_fragments(data)
    if strangers := [name for name in given if name not in labels]:
        raise DataError(
            f"{path}: {first_few(strangers, 'fragment')} without {data / 'train' / 'ID'}/"
            f"inklabels.png, expected only {', '.join(labels)}; test fragments cannot be scored"
        )
    if missing := [name for name in labels if name not in given]:
        raise DataError(
            f"{path}: {first_few(missing, 'fragment')} missing, expected a row for each of the "
            f"{len(labels)} labelled fragments; an empty mask is an empty cell: add the rows"
        )
    found, ones = {}, {}
    for name, runs in given.items():
        truth = read_mask(labels[name])
        shape = truth.shape[0], truth.shape[1]
        guess = decode(runs, shape, f"{path}: {PREDICTED} of fragment {name}")
        found[name] = count(guess, truth).f_beta
        ink = int(truth.sum())
        ones[name] = Counts(ink, truth.size - ink, 0).f_beta
    return _with_mean(found), _with_mean(ones)


def write_submission(runs: Mapping[str, str], wanted: tuple[str, ...], out: Path) -> int:
    """Write a submission: a row for each fragment of the sample submission, in its order.

    Args:
        runs: the coded mask of each fragment by its name; others than the wanted are left out.
        wanted: the names of the sample submission's fragments.
        out: the file to write.

    Returns:
        Number of rows written.

    Raises:
        DataError: nothing is wanted, or a wanted fragment is not predicted.
    """
    if not wanted:
        raise DataError("sample submission: lists no fragment, expected those of test/")
    if missing := [name for name in wanted if name not in runs]:
        raise DataError(
            f"submission: {first_few(missing, 'fragment')} not predicted, expected a mask for each "
            f"of {', '.join(wanted)}; predict them"
        )
    table = pl.DataFrame({ID: wanted, PREDICTED: [runs[name] or None for name in wanted]})
    with write_atomic(out) as temporary:
        table.cast(pl.String).write_csv(temporary)
    return table.height


def _with_mean(scores: dict[str, float]) -> dict[str, float]:
    return {SCORE: mean_score(scores.values()), **scores}
