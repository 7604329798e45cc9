"""Stacking: a regression a label on the slice model's logits of a slice and its neighbours."""

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lsdc.challenges.hemorrhage.training.samples import NAMES

_LARGEST_LOGIT = 12.0  # larger ones say no more, and would rule the fit
_STEPS = 1000
_PSEUDO_COUNT = 0.5  # of slices with a label and without it, where the labels are all alike

Floats = NDArray[np.float64]


class Stacking(nn.Module):
    """The coefficients of the regressions.

    Args:
        reach: number of neighbours before and after a slice.
    """

    def __init__(self, reach: int) -> None:
        super().__init__()
        self.read = nn.Linear((2 * reach + 1) * len(NAMES), len(NAMES), dtype=torch.float64)

    def fit(self, logits: Floats, labels: NDArray[np.float32], strength: float) -> None:
        """Fit the regressions.

        Args:
            logits: (n, 2 reach + 1, 6) of slices and their neighbours, in order.
            labels: (n, 6) of the slices, 0 or 1.
            strength: scikit-learn's C.
        """
        from sklearn.exceptions import ConvergenceWarning  # a bundle predicts without scikit-learn
        from sklearn.linear_model import LogisticRegression

        features = _features(logits)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a few steps more change little
            for number, own in enumerate(labels.T):
                if len(np.unique(own)) < 2:
                    odds = (own.sum() + _PSEUDO_COUNT) / (len(own) - own.sum() + _PSEUDO_COUNT)
                    self.read.weight[number] = 0
                    self.read.bias[number] = float(np.log(odds))
                    continue
                fitted = LogisticRegression(C=strength, max_iter=_STEPS).fit(features, own)
                self.read.weight[number] = torch.from_numpy(fitted.coef_[0])
                self.read.bias[number] = float(fitted.intercept_[0])

    def forward(self, logits: Floats) -> Floats:
        """Return the probabilities (n, 6) from logits (n, 2 reach + 1, 6)."""
        with torch.no_grad():
            read: Tensor = self.read(torch.from_numpy(_features(logits)))
            found: Floats = read.sigmoid().numpy()
        return found


def _features(logits: Floats) -> Floats:
    return np.clip(logits, -_LARGEST_LOGIT, _LARGEST_LOGIT).reshape(len(logits), -1)
