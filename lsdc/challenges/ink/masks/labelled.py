"""A region with its map, its mask and its labels: what rules are fitted on and scored with."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.ink.masks.levels import Probabilities
from lsdc.challenges.ink.masks.rule import Rule, make_mask
from lsdc.challenges.ink.scoring.metric import Counts, count, mean_score

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Labelled:
    """A region that a fold held out, predicted by the model of that fold.

    Attributes:
        region: its name.
        fragment: the name of its fragment.
        fold: the fold that held it out.
        probabilities: (rows, columns), float16; may be mapped into memory.
        inside: where the fragment is, (rows, columns).
        labels: ink, (rows, columns); also outside the mask.
    """

    region: str
    fragment: str
    fold: int
    probabilities: Probabilities
    inside: Mask
    labels: Mask

    def count(self, rule: Rule) -> Counts:
        """Return the pixels of the mask that a rule makes, by prediction and label."""
        return count(make_mask(self.probabilities, np.asarray(self.inside), rule), self.labels)


def score_counts(counts: dict[str, Counts], fragments: dict[str, str]) -> float:
    """Return the metric: the mean over fragments of the F0.5 of all their pixels.

    Args:
        counts: those of regions by name; a fragment's are the sum of its regions'.
        fragments: the fragment of each region.
    """
    return mean_score(each.f_beta for each in by_fragment(counts, fragments).values())


def by_fragment(counts: dict[str, Counts], fragments: dict[str, str]) -> dict[str, Counts]:
    """Return the counts of each fragment, in the order of the regions."""
    found: dict[str, Counts] = {}
    for region, each in counts.items():
        name = fragments[region]
        found[name] = found.get(name, Counts(0, 0, 0)) + each
    return found
