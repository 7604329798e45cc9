"""Calibration: a temperature, and a shift of each grade's log probability, by pooled condition."""

from collections.abc import Mapping

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy.optimize import minimize
from scipy.special import softmax

from lsdc.challenges.lumbar.ensemble.grid import (
    KIND_OF,
    Floats,
    Grades,
    LabelledRows,
    logits_of,
)
from lsdc.challenges.lumbar.scoring.metric import POOLED
from lsdc.challenges.lumbar.vocabulary import GRADES


class Calibration(BaseModel):
    """By pooled condition: logits are divided by a temperature, then shifted by grade.

    Attributes:
        temperature: above 1, predictions become less certain.
        shift: for each grade, what is added to its logit.
    """

    model_config = ConfigDict(frozen=True)

    temperature: Mapping[str, float]
    shift: Mapping[str, tuple[float, ...]]

    @classmethod
    def fit(
        cls, values: Floats, grades: Grades, *, temperature: bool, prior_shift: bool
    ) -> "Calibration":
        """Return those with the best metric; what is not asked for stays 1 and 0.

        The logarithm of the temperature and the shifts are drawn to 0 as if by a normal prior of
        standard deviation 1, which matters only for a few studies.

        Args:
            values: (s, c, l, g) predictions.
            grades: (s, c, l); -1 where there is none.
            temperature: whether to fit the temperature.
            prior_shift: whether to fit the shifts; that of the first grade is 0.
        """
        same = 1.0, (0.0,) * len(GRADES)
        found = {
            name: _fit_kind(rows, values[rows.where], temperature, prior_shift)
            if (rows := LabelledRows.of(kind, values, grades)).count
            else same
            for kind, name in enumerate(POOLED)
        }
        return cls(
            temperature={name: each[0] for name, each in found.items()},
            shift={name: each[1] for name, each in found.items()},
        )

    def predict(self, values: Floats) -> Floats:
        """Return (s, c, l, g) calibrated; NaN stays NaN."""
        temperature = np.array([self.temperature[name] for name in POOLED])[KIND_OF]  # (c,)
        shift = np.array([self.shift[name] for name in POOLED])[KIND_OF]  # (c, g)
        logits = logits_of(values) / temperature[:, None, None] + shift[:, None]
        found: Floats = softmax(logits, axis=-1)
        return found


def _fit_kind(
    rows: LabelledRows, values: Floats, temperature: bool, prior_shift: bool
) -> tuple[float, tuple[float, ...]]:
    """Return the temperature and the shifts of predictions (n, g)."""
    logits = logits_of(values)

    def split(given: Floats) -> tuple[float, Floats]:
        shift = np.zeros(len(GRADES))
        if prior_shift:
            shift[1:] = given[-(len(GRADES) - 1) :]
        return float(np.exp(given[0])) if temperature else 1.0, shift

    def loss(given: Floats) -> float:
        divisor, shift = split(given)
        changed = softmax(logits / divisor + shift, axis=-1)
        return rows.loss(changed) + float((given**2).sum()) / rows.count

    free = int(temperature) + prior_shift * (len(GRADES) - 1)
    divisor, shift = split(minimize(loss, np.zeros(free), method="L-BFGS-B").x)
    return divisor, tuple(shift.tolist())
