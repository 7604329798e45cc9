"""Weights of the members, by pooled condition: not negative, with a sum of 1."""

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy.optimize import minimize

from lsdc.challenges.lumbar.ensemble.blend import blend
from lsdc.challenges.lumbar.ensemble.grid import KIND_OF, Floats, Grades, LabelledRows
from lsdc.challenges.lumbar.scoring.metric import POOLED


class Weights(BaseModel):
    """The weight of each member for each pooled condition.

    >>> Weights.equal(2).by_kind["spinal"]
    (0.5, 0.5)
    """

    model_config = ConfigDict(frozen=True)

    by_kind: dict[str, tuple[float, ...]]

    @classmethod
    def equal(cls, members: int) -> "Weights":
        """Return the same weight for each member."""
        return cls(by_kind=dict.fromkeys(POOLED, (1 / members,) * members))

    @classmethod
    def fit(cls, values: Floats, grades: Grades) -> "Weights":
        """Return the weights with the best metric; those of the canal count any_severe_spinal, too.

        A condition without labelled rows, or predicted by a single member, has equal weights among
        the members.

        Args:
            values: (m, s, c, l, g); NaN where a member has no row.
            grades: (s, c, l); -1 where there is none.
        """
        found = cls.equal(len(values)).by_kind | {
            name: fitted
            for kind, name in enumerate(POOLED)
            if (fitted := _fit_kind(kind, values, grades))
        }
        return cls(by_kind=found)

    def predict(self, values: Floats) -> Floats:
        """Return the weighted mean (s, c, l, g) of (m, s, c, l, g); NaN where no member has a row.

        Where all members of a row have the weight 0, it is their plain mean.
        """
        table = np.array([self.by_kind[name] for name in POOLED])  # (kinds, m)
        by_condition = table[KIND_OF].T[:, None, :, None]  # (m, 1, c, 1)
        mean = blend(values, by_condition)
        plain = blend(values, 1.0)
        return np.where(np.isnan(mean), plain, mean)


def _fit_kind(kind: int, values: Floats, grades: Grades) -> tuple[float, ...]:
    """Return the weights of a pooled condition; none if fewer than two members predict it."""
    rows = LabelledRows.of(kind, blend(values, 1.0), grades)
    own = values[:, rows.where]  # (m, n, g)
    count = len(own)
    if sum(not np.isnan(member).all() for member in own) < 2:
        return ()
    found = minimize(
        # A little for each, so that rows with a single member keep it while the weights are sought.
        lambda weights: rows.loss(blend(own, np.maximum(weights, 1e-9)[:, None])),
        np.full(count, 1 / count),
        method="SLSQP",
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
    )
    weights = np.clip(found.x, 0, None)
    return tuple((weights / weights.sum()).tolist())
