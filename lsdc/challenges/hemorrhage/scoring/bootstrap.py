"""Scores of random sets of patients, for intervals of scores and of their differences."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.scoring.metric import PARTS, combine, losses
from lsdc.challenges.hemorrhage.scoring.oof import LABEL_COLUMNS
from lsdc.tables.resampling import DRAWS, Sums, resample


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


def _losses(rows: pl.DataFrame) -> NDArray[np.float64]:
    return losses(rows.select(LABEL_COLUMNS).to_numpy(), rows.select(PARTS).to_numpy())


def _sums(rows: pl.DataFrame, patients: pl.Series) -> Sums:
    """Return each patient's sums, in the order of the patients."""
    known = patients.to_frame().with_row_index("place")
    place = rows.join(known, on="patient", how="left", maintain_order="left")["place"].to_numpy()
    count = np.bincount(place, minlength=len(patients)).astype(float)
    summed = [np.bincount(place, each, len(patients)) for each in _losses(rows).T]
    return Sums(np.stack(summed, axis=1), np.repeat(count[:, None], len(PARTS), axis=1))
