"""The blend: one submission of several runs'."""

import numpy as np
from numpy.typing import NDArray


def mean_where_reached(
    values: NDArray[np.float64], reached: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the mean of the runs that reached a row; of all runs where none did.

    Args:
        values: (runs, rows, columns) the submission of each run, complete with its prior.
        reached: (runs, rows) whether a run reached the study of a row.

    Returns:
        (rows, columns)

    >>> values = np.array([[[0.2], [0.4]], [[0.6], [0.8]]])
    >>> mean_where_reached(values, np.array([[True, False], [False, False]])).round(2).tolist()
    [[0.2], [0.6]]
    """
    weights = np.where(reached.any(0), reached, True).astype(float)[..., np.newaxis]
    mean: NDArray[np.float64] = (weights * values).sum(0) / weights.sum(0)
    return mean
