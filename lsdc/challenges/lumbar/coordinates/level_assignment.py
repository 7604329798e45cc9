"""Level assignment: choose a study's levels among the candidates, all five together.

A net may mistake a level for its neighbour, but its five predictions seldom agree on a wrong chain.
Every assignment of the levels to candidates in order from top to bottom (a chain) is weighted by
the views' nets; the best one is chosen, and all together give the confidence of each of its levels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.lumbar.vocabulary import LEVELS

Floats = NDArray[np.float64]

# Neighbouring levels are 25 to 45 mm apart. From one seen level to the next seen one, the distance
# may be SHORTER_MM below the sum of nearest steps.
NEAREST_STEP_MM, FARTHEST_STEP_MM = 24.0, 58.0
SHORTER_MM = 6.0
# Candidates of two views within this distance are one place.
SAME_PLACE_MM = 12.0
MOST_PLACES = 9
# Share of a place that a net has no candidate at, and of a level that is not visible.
LEAST_SHARE, UNSEEN_SHARE = 0.01, 0.05
UNSEEN = -1
# Standard errors of a place, within its slice and across it.
WITHIN_SIGMA_MM, ACROSS_SIGMA_MM = 1.5, 2.5


@dataclass(frozen=True)
class Chain:
    """The detected levels of a study.

    Attributes:
        points_mm: (levels, 3), NaN where a level is not seen.
        confidence: (levels,) in [0, 1]: the weight of the chains that have the level there.
        shifted: the weight of the chains that name every level one off.
    """

    points_mm: Floats
    confidence: Floats
    shifted: float


def assign_levels(places_mm: Floats, evidence: Floats, unseen: float) -> Chain:
    """Return the most likely chain of levels through places.

    Args:
        places_mm: (places, 3), at most MOST_PLACES.
        evidence: (places, levels) log evidence for each level at each place.
        unseen: log evidence for a level that is at none of them.

    >>> places = np.array([[0, 0, z] for z in (140, 105, 70, 35, 0)])
    >>> shares = np.eye(5) + 0.01
    >>> shares[2] = [0.01, 0.6, 0.3, 0.05, 0.01]  # by itself, the third place is the second level
    >>> assign_levels(places, np.log(shares), np.log(0.05)).points_mm[:, 2].tolist()
    [140.0, 105.0, 70.0, 35.0, 0.0]
    """
    order = np.argsort(-places_mm[:, 2], kind="stable")
    places, evidence = places_mm[order], evidence[order]
    # (chains, levels) indices of places; UNSEEN indexes the last place, which `where` drops.
    chains = _all_chains(len(places))
    seen = chains != UNSEEN
    score = np.where(seen, evidence[chains, np.arange(len(LEVELS))], unseen).sum(axis=1)
    score[~_possible(places, chains)] = -np.inf
    # (chains,) probabilities; that of an impossible chain is 0.
    weight = np.exp(score - score.max())
    weight /= weight.sum()
    best = chains[score.argmax()]
    held = best != UNSEEN
    points = np.where(held[:, None], places[best], np.nan)
    confidence = np.where(held, (weight[:, None] * (chains == best)).sum(axis=0), 0.0)
    return Chain(points, confidence, _weight_of_shifted(chains, weight, best))


def _possible(places_mm: Floats, chains: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return a mask (chains,) of those whose steps are anatomically possible."""
    # (places, places) distances in mm, and how far the second place is below the first.
    apart = np.linalg.norm(places_mm[:, None] - places_mm, axis=2)
    drop = places_mm[:, None, 2] - places_mm[:, 2]
    fine = np.ones(len(chains), bool)
    for one, other in combinations(range(len(LEVELS)), 2):
        # (chains,) places of the two levels, (chains, levels between) places of those between.
        a, b = chains[:, one], chains[:, other]
        between = chains[:, one + 1 : other]
        next_seen = (a != UNSEEN) & (b != UNSEEN) & (between == UNSEEN).all(axis=1)
        steps = other - one
        far = apart[a, b]
        good = (
            (far >= steps * NEAREST_STEP_MM - SHORTER_MM)
            & (far <= steps * FARTHEST_STEP_MM)
            & (drop[a, b] >= 0.5 * far)
        )
        fine &= ~next_seen | good
    return fine


def _weight_of_shifted(chains: NDArray[np.int64], weight: Floats, best: NDArray[np.int64]) -> float:
    """Return the weight of the chains that have the best chain's places with every name one off."""
    total = 0.0
    for shift in (1, -1):
        # (levels,) the best chain's places, each under the name next to its own.
        named = np.roll(best, shift)
        named[0 if shift == 1 else -1] = UNSEEN
        kept = named != UNSEEN
        both = kept & (chains != UNSEEN)
        # (chains, levels) mask; a level that is in one chain only does not count against it.
        agree = (chains == named) | ~both
        total += float(weight[agree.all(axis=1) & (both.sum(axis=1) >= 2)].sum())
    return total


@cache
def _all_chains(places: int) -> NDArray[np.int64]:
    """Return all ordered assignments (chains, levels) of levels to places; UNSEEN without one."""
    chains = []
    for count in range(min(places, len(LEVELS)) + 1):
        for levels in combinations(range(len(LEVELS)), count):
            for chosen in combinations(range(places), count):
                chain = np.full(len(LEVELS), UNSEEN)
                chain[list(levels)] = chosen
                chains.append(chain)
    return np.stack(chains)


@dataclass(frozen=True)
class View:
    """A net's candidates on one view of a study.

    Attributes:
        places_mm: (candidates, 3) positions.
        shares: (candidates, levels) share of each level's heatmap.
        normal: (3,) normal of the view's slices; positions are more precise within the slices.
        weight: weight of the view in naming levels.
    """

    places_mm: Floats
    shares: Floats
    normal: Floats
    weight: float = 1.0


def chain_of_views(views: Sequence[View]) -> Chain:
    """Return the levels of a study from all of its views together."""
    places, members = _merge(views)
    if not len(places):
        nothing = np.full((len(LEVELS), 3), np.nan)
        return Chain(nothing, np.zeros(len(LEVELS)), 0.0)
    evidence = np.zeros((len(places), len(LEVELS)))
    total = sum(view.weight for view in views)
    for number, view in enumerate(views):
        # (places, levels) shares in this view; LEAST_SHARE where it has no candidate.
        shares = np.full((len(places), len(LEVELS)), LEAST_SHARE)
        for place, own in enumerate(members):
            mine = [candidate for owner, candidate in own if owner == number]
            shares[place] += view.shares[mine].sum(axis=0)
        evidence += view.weight / total * np.log(shares)
    return assign_levels(places, evidence, float(np.log(UNSEEN_SHARE)))


def _merge(views: Sequence[View]) -> tuple[Floats, list[list[tuple[int, int]]]]:
    """Return the views' places, most confident first, and the (view, candidate)s of each."""
    candidates = [
        (float(shares.sum()), number, index)
        for number, view in enumerate(views)
        for index, shares in enumerate(view.shares)
    ]
    places: list[Floats] = []
    members: list[list[tuple[int, int]]] = []
    for _, number, index in sorted(candidates, reverse=True):
        at = views[number].places_mm[index]
        gaps = [float(np.linalg.norm(at - place)) for place in places]
        nearest = int(np.argmin(gaps)) if gaps else -1
        if gaps and gaps[nearest] <= SAME_PLACE_MM:
            members[nearest].append((number, index))
        elif len(places) < MOST_PLACES:
            places.append(at)
            members.append([(number, index)])
    joined = [_join(views, own) for own in members]
    return np.array(joined).reshape(-1, 3), members


def _join(views: Sequence[View], members: list[tuple[int, int]]) -> Floats:
    """Average candidates into one place; each weighs more within its slices than across them."""
    precisions, moments = [], []
    for number, index in members:
        view = views[number]
        across = np.outer(view.normal, view.normal)
        within = np.eye(3) - across
        sure = float(view.shares[index].sum())
        # (3, 3) inverse covariance of the position, times the candidate's total share.
        own = sure * (within / WITHIN_SIGMA_MM**2 + across / ACROSS_SIGMA_MM**2)
        precisions.append(own)
        moments.append(own @ view.places_mm[index])
    place: Floats = np.linalg.solve(np.sum(precisions, axis=0), np.sum(moments, axis=0))
    return place
