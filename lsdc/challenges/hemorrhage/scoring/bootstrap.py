"""Scores of random sets of patients, for intervals of scores and of their differences."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.scoring.metric import PARTS, combine, losses
from lsdc.challenges.hemorrhage.scoring.oof import LABEL_COLUMNS
from lsdc.errors import DataError
from lsdc.tables.resampling import DRAWS, Difference, Sums, interval, resample


def bootstrap(
    runs: Sequence[pl.DataFrame], *, draws: int = DRAWS, seed: int = 0
) -> NDArray[np.float64]:
    """Return the score and its parts for random sets of patients, as `resample` draws them.

    Args:
        runs: `OutOfFold` or `HeldOut` of each run, with the same images.
        draws: the number of sets.
        seed: the seed of the draws.

    Returns:
        (runs, draws, 1 + parts): the score, then the parts in the order of PARTS.
    """
    patients = runs[0]["patient"].unique().sort()
    parts = resample([_sums(each, patients) for each in runs], draws=draws, seed=seed)
    return np.concatenate([combine(parts)[..., None], parts], axis=2)


def compare(
    first: pl.DataFrame, other: pl.DataFrame, *, draws: int = DRAWS, seed: int = 0
) -> dict[str, Difference]:
    """Compare two runs on the images that both predict.

    Args:
        first: `OutOfFold` or `HeldOut` of a run.
        other: the same of another run.
        draws: the number of sets of patients.
        seed: the seed of the draws.

    Returns:
        The loss of `other` minus that of `first`, by the names of `scores.json`: the score and its
        parts.

    Raises:
        DataError: the runs have no image in common, or an image has different labels.
    """
    both = first.select("image_id", *LABEL_COLUMNS).join(
        other.select("image_id", *LABEL_COLUMNS), on="image_id", maintain_order="left"
    )
    if both.is_empty():
        raise DataError(
            "compare: no image in common, expected predictions of the same images; compare runs on "
            "the same data"
        )
    torn = both.filter(
        pl.any_horizontal(pl.col(name) != pl.col(f"{name}_right") for name in LABEL_COLUMNS)
    )
    if torn.height:
        raise DataError(
            f"compare: {torn.height:,} images have different labels (the first: "
            f"{torn['image_id'][0]}), expected equal ones; compare runs on the same data"
        )
    wanted = both.select("image_id")
    runs = [wanted.join(each, on="image_id", maintain_order="left") for each in (first, other)]
    found = bootstrap(runs, draws=draws, seed=seed)
    means = [_losses(each).mean(axis=0) for each in runs]
    values = [np.append(combine(parts), parts) for parts in means]
    return {
        name: Difference(
            float(values[1][place] - values[0][place]),
            interval(found[1, :, place] - found[0, :, place]),
        )
        for place, name in enumerate(("score", *PARTS))
    }


def _losses(rows: pl.DataFrame) -> NDArray[np.float64]:
    return losses(rows.select(LABEL_COLUMNS).to_numpy(), rows.select(PARTS).to_numpy())


def _sums(rows: pl.DataFrame, patients: pl.Series) -> Sums:
    """Return each patient's sums, in the order of the patients."""
    known = patients.to_frame().with_row_index("place")
    place = rows.join(known, on="patient", how="left", maintain_order="left")["place"].to_numpy()
    count = np.bincount(place, minlength=len(patients)).astype(float)
    summed = [np.bincount(place, each, len(patients)) for each in _losses(rows).T]
    return Sums(np.stack(summed, axis=1), np.repeat(count[:, None], len(PARTS), axis=1))
