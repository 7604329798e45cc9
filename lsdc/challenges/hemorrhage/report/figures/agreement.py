"""How predictions agree with labels: calibration, ranking, and right answers at one half."""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from lsdc.challenges.hemorrhage.report.figures.scored import Scored
from lsdc.challenges.hemorrhage.scoring.metric import PARTS
from lsdc.report.reliability import Reliability, measure_reliability


@dataclass(frozen=True)
class Agreement:
    """How the predictions of a label agree with it.

    Attributes:
        images, positives: the number of images, and of those with the label.
        mean: the mean probability.
        auc: the area under the ROC curve; None if all images have the label, or none has it.
        precision: the average precision; None as well.
        found: the share of images with the label that are predicted with one half or more; None
            without any.
        false_alarms: the share of images without it that are; None without any.
        reliability: the frequencies by probability.
    """

    images: int
    positives: int
    mean: float
    auc: float | None
    precision: float | None
    found: float | None
    false_alarms: float | None
    reliability: Reliability


def agreements(scored: Scored) -> dict[str, Agreement]:
    """Return the agreement of each label."""
    return {part: _agreement(scored, number) for number, part in enumerate(PARTS)}


def _agreement(scored: Scored, number: int) -> Agreement:
    has, given = scored.labels[:, number] == 1, scored.probabilities[:, number]
    positives, images = int(has.sum()), len(has)
    both = 0 < positives < images
    called = given >= 0.5
    return Agreement(
        images=images,
        positives=positives,
        mean=float(given.mean()),
        auc=float(roc_auc_score(has, given)) if both else None,
        precision=float(average_precision_score(has, given)) if both else None,
        found=float(called[has].mean()) if positives else None,
        false_alarms=float(called[~has].mean()) if positives < images else None,
        reliability=measure_reliability(given, has, np.ones(images)),
    )
