"""The mean of several predictions, with weights."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def blend(values: NDArray[np.float64], weights: ArrayLike) -> NDArray[np.float64]:
    """Return the weighted mean over the members that have a row.

    Args:
        values: (m, ..., g) probabilities of m members; NaN where a member has no row.
        weights: (m, ...) or a shape that is broadcast to it; 0 leaves a member out.

    Returns:
        (..., g); NaN where no member with a weight has the row.

    >>> blend(np.array([[[0.2, 0.8]], [[0.6, 0.4]]]), [[1], [3]])
    array([[0.5, 0.5]])
    """
    weighs = np.broadcast_to(np.asarray(weights, dtype=float), values.shape[:-1])
    counts = np.where(np.isnan(values[..., 0]), 0.0, weighs)[..., None]  # (m, ..., 1)
    with np.errstate(invalid="ignore"):  # 0 / 0 where no member has the row
        mean: NDArray[np.float64] = (counts * np.nan_to_num(values)).sum(0) / counts.sum(0)
    return mean
