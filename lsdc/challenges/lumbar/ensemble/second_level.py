"""The second level: a multinomial logistic regression over the members' logits.

A row is judged by the logits of all members for it and for the other four conditions of its level,
and by the level itself. There is a regression for each pooled condition: left and right share
their weights, the sides seen from the row's own, and so do the five levels but for a constant.
"""

from collections.abc import Mapping

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy.special import softmax

from lsdc.challenges.lumbar.ensemble.blend import blend
from lsdc.challenges.lumbar.ensemble.grid import (
    Floats,
    Grades,
    LabelledRows,
    logits_of,
)
from lsdc.challenges.lumbar.ensemble.severe import SevereOdds
from lsdc.challenges.lumbar.scoring.metric import POOLED
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADE_WEIGHTS, GRADES, LEVELS, Side

_SMOOTHING = 0.5  # pseudo-count of each grade, as in the prior


class Logistic(BaseModel):
    """The regression of a pooled condition: what is subtracted, divided by, and the weights.

    Attributes:
        mean, scale: (k,) of the k features in the rows it was fitted on.
        weights: (g, k).
        bias: (g,).
    """

    model_config = ConfigDict(frozen=True)

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]
    bias: tuple[float, ...]

    def predict(self, features: Floats) -> Floats:
        """Return probabilities (..., g) of features (..., k)."""
        scaled = standardised(features, np.array(self.mean), np.array(self.scale))
        found: Floats = softmax(scaled @ np.array(self.weights).T + np.array(self.bias), axis=-1)
        return found


class SecondLevel(BaseModel):
    """The regressions by pooled condition, and the odds of a severe canal fitted after them.

    A pooled condition without labels has no regression: its rows are the members' mean.
    """

    model_config = ConfigDict(frozen=True)

    by_kind: Mapping[str, Logistic]
    severe: SevereOdds = SevereOdds()

    @classmethod
    def fit(cls, values: Floats, grades: Grades, strength: float = 0.01) -> "SecondLevel":
        """Fit on labelled rows with the weights of the metric, then the canal with any_severe.

        Args:
            values: (m, s, c, l, g); NaN where a member has no row.
            grades: (s, c, l); -1 where there is none.
            strength: the weight of the data against the penalty, scikit-learn's `C`.
        """
        mean = blend(values, 1.0)
        features = np.stack([features_of(values, place) for place in range(len(CONDITIONS))], 1)
        by_kind = {}
        for kind, name in enumerate(POOLED):
            rows = LabelledRows.of(kind, mean, grades)
            if rows.count:
                by_kind[name] = _fit(features[rows.where], rows.grades, strength)
        plain = cls(by_kind=by_kind)
        return cls(by_kind=by_kind, severe=SevereOdds.fit(plain.predict(values), grades))

    def predict(self, values: Floats) -> Floats:
        """Return (s, c, l, g) of the members' (m, s, c, l, g); NaN where no member has the row."""
        found = blend(values, 1.0)
        missing = np.isnan(found)
        for place, condition in enumerate(CONDITIONS):
            if condition.pooled in self.by_kind:
                regression = self.by_kind[condition.pooled]
                found[:, place] = regression.predict(features_of(values, place))
        return np.where(missing, np.nan, self.severe.predict(found))


def features_of(values: Floats, place: int) -> Floats:
    """Return the features (s, l, k) of a condition's rows; NaN where no member has a logit.

    They are each member's logits for each condition of the level, then a column for each level. The
    row's own condition is first, and the others follow as seen from its side. A member that lacks a
    row has the mean of the others there.

    Args:
        values: (m, s, c, l, g).
        place: the condition's place in CONDITIONS.
    """
    filled = np.where(np.isnan(values), blend(values, 1.0), values)
    logits = logits_of(filled)[:, :, _seen_from(place)]  # (m, s, c, l, g)
    studies, levels = values.shape[1], values.shape[3]
    by_row = np.moveaxis(logits, (1, 3), (0, 1)).reshape(studies, levels, -1)  # (s, l, m * c * g)
    level = np.broadcast_to(np.eye(len(LEVELS)), (studies, levels, len(LEVELS)))
    return np.concatenate([by_row, level], axis=-1)


def standardised(features: Floats, mean: Floats, scale: Floats) -> Floats:
    """Return features with mean 0 and scale 1; one that is missing has the mean."""
    return np.nan_to_num((features - mean) / scale)


def _seen_from(place: int) -> list[int]:
    """Return the places of the five conditions, the own first, left and right as seen from it."""
    own = CONDITIONS[place]
    left = own.mirrored if own.side is Side.RIGHT else own
    order = [left, *(each for each in CONDITIONS if each is not left)]
    if own.side is Side.RIGHT:
        order = [each.mirrored for each in order]
    return [CONDITIONS.index(each) for each in order]


def _fit(features: Floats, truth: Grades, strength: float) -> Logistic:
    """Fit features (n, k) to grades (n,); each grade also occurs once at the features' mean."""
    from sklearn.linear_model import LogisticRegression  # slow to import

    known = ~np.isnan(features)
    counts = np.maximum(known.sum(0), 1)
    mean = np.where(known, features, 0).sum(0) / counts
    spread = np.sqrt((np.where(known, features - mean, 0) ** 2).sum(0) / counts)
    scale = np.where(spread > 1e-9, spread, 1.0)
    weights = np.asarray(GRADE_WEIGHTS)
    size = len(GRADES)
    # newton-cholesky is exact and quick for many more rows than features.
    regression = LogisticRegression(C=strength, solver="newton-cholesky", tol=1e-6, max_iter=200)
    regression.fit(
        np.concatenate([standardised(features, mean, scale), np.zeros((size, features.shape[1]))]),
        np.concatenate([truth, np.arange(size)]),
        sample_weight=np.concatenate([weights[truth], _SMOOTHING * weights]),
    )
    return Logistic(
        mean=tuple(mean.tolist()),
        scale=tuple(scale.tolist()),
        weights=tuple(map(tuple, regression.coef_.tolist())),
        bias=tuple(regression.intercept_.tolist()),
    )
