"""The odds of a severe canal, fitted on the two parts of the metric that depend on them.

any_severe_spinal takes the largest severe probability of a study's five, which is too high or too
low although each of the five is right on average. So its log odds get a scale and a bias.
"""

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy.optimize import minimize
from scipy.special import expit, logit

from lsdc.challenges.lumbar.ensemble.grid import KIND_OF, Floats, Grades, LabelledRows
from lsdc.challenges.lumbar.scoring.metric import POOLED
from lsdc.challenges.lumbar.vocabulary import GRADES

_CANAL = POOLED.index("spinal")
_SEVERE = len(GRADES) - 1


class SevereOdds(BaseModel):
    """log odds of a severe canal = bias + scale x log odds predicted; the identity by default."""

    model_config = ConfigDict(frozen=True)

    bias: float = 0.0
    scale: float = 1.0

    @classmethod
    def fit(cls, values: Floats, grades: Grades) -> "SevereOdds":
        """Return the bias and scale with the best mean of the canal's part and any_severe_spinal.

        Both are drawn to the identity as if by a normal prior of standard deviation 1, which
        matters only for a few studies. Without labels of both kinds it is the identity.

        Args:
            values: (s, c, l, g) predictions.
            grades: (s, c, l); -1 where there is none.
        """
        rows = LabelledRows.of(_CANAL, values, grades)
        is_severe = rows.grades == _SEVERE
        if not is_severe.any() or is_severe.all():
            return cls()
        own, studies = values[rows.where], len(np.unique(rows.studies))

        def loss(given: Floats) -> float:
            bias, scale = given
            changed = cls(bias=bias, scale=scale).change(own)
            return rows.loss(changed) + float(bias**2 + (scale - 1) ** 2) / studies

        bias, scale = minimize(loss, [0.0, 1.0], method="L-BFGS-B").x.tolist()
        return cls(bias=bias, scale=scale)

    def predict(self, values: Floats) -> Floats:
        """Return (s, c, l, g) with the severe canal's odds changed."""
        result = values.copy()
        result[:, KIND_OF == _CANAL] = self.change(values[:, KIND_OF == _CANAL])
        return result

    def change(self, canal: Floats) -> Floats:
        """Return (..., g) with the severe odds changed; the other grades share the rest."""
        rest, severe = canal[..., :_SEVERE], np.clip(canal[..., _SEVERE:], 1e-9, 1 - 1e-9)
        changed = expit(self.bias + self.scale * logit(severe))  # (..., 1)
        share = rest / np.maximum(rest.sum(-1, keepdims=True), 1e-300)
        return np.concatenate([share * (1 - changed), changed], axis=-1)
