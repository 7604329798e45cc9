"""Level assignment: choose a study's levels among the candidates, all five together.

A network may confuse a level with its neighbour, but it is rarely wrong in the same way for all
five levels. A *chain* assigns the levels to places (candidates) in order from top to bottom. Each
chain gets a probability from the networks' predictions in all views. The most likely chain is
chosen. The confidence of a level is the total probability of the chains that have it at that place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.lumbar.vocabulary import LEVELS

Floats = NDArray[np.float64]

# Neighbouring levels are usually 25 to 45 mm apart; the limits are wider. Between two detected
# levels, the distance may be STEP_TOLERANCE_MM less than the number of steps times MIN_STEP_MM.
MIN_STEP_MM, MAX_STEP_MM = 24.0, 58.0
STEP_TOLERANCE_MM = 6.0
# Candidates within this distance, also of different views, are merged into one place.
SAME_PLACE_MM = 12.0
MAX_PLACES = 9
# The share of the heatmap that is added at every place, so that places without a candidate are not
# excluded, and the share that is assumed for a level that is not visible.
LEAST_SHARE, UNSEEN_SHARE = 0.01, 0.05
UNSEEN = -1
# Standard errors of a position, in the slice plane and along the slice normal.
IN_PLANE_SIGMA_MM, NORMAL_SIGMA_MM = 1.5, 2.5


@dataclass(frozen=True)
class Chain:
    """The detected levels of a study.

    Attributes:
        points_mm: (levels, 3), NaN where a level is not seen.
        confidence: (levels,) in [0, 1]: total probability of the chains that have the level there.
        shifted: total probability of the chains in which every level has its neighbour's name.
    """

    points_mm: Floats
    confidence: Floats
    shifted: float


def assign_levels(places_mm: Floats, evidence: Floats, unseen: float) -> Chain:
    """Return the most likely chain of levels through places.

    Args:
        places_mm: (places, 3) possible positions of levels, at most MAX_PLACES.
        evidence: (places, levels) log evidence for each level at each place.
        unseen: log evidence for a level that is at none of the places.

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
    score[~_are_possible(places, chains)] = -np.inf
    # (chains,) probabilities; that of an impossible chain is 0.
    probability = np.exp(score - score.max())
    probability /= probability.sum()
    best = chains[score.argmax()]
    held = best != UNSEEN
    points = np.where(held[:, None], places[best], np.nan)
    confidence = np.where(held, (probability[:, None] * (chains == best)).sum(axis=0), 0.0)
    return Chain(points, confidence, _shifted_probability(chains, probability, best))


def _are_possible(places_mm: Floats, chains: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return a mask (chains,): whether the distances between levels are anatomically possible."""
    # (places, places) distances in mm, and how far the second place is below the first.
    distances = np.linalg.norm(places_mm[:, None] - places_mm, axis=2)
    drop = places_mm[:, None, 2] - places_mm[:, 2]
    possible = np.ones(len(chains), bool)
    for upper, lower in combinations(range(len(LEVELS)), 2):
        # (chains,) places of the two levels, (chains, levels between) places of those between.
        a, b = chains[:, upper], chains[:, lower]
        between = chains[:, upper + 1 : lower]
        next_seen = (a != UNSEEN) & (b != UNSEEN) & (between == UNSEEN).all(axis=1)
        steps = lower - upper
        distance = distances[a, b]
        is_possible = (
            (distance >= steps * MIN_STEP_MM - STEP_TOLERANCE_MM)
            & (distance <= steps * MAX_STEP_MM)
            & (drop[a, b] >= 0.5 * distance)
        )
        possible &= ~next_seen | is_possible
    return possible


def _shifted_probability(
    chains: NDArray[np.int64], probability: Floats, best: NDArray[np.int64]
) -> float:
    """Return the total probability of the best chain with every level name shifted by one.

    Chains count if they agree with the shifted chain at all levels that both have, at least two.
    """
    total = 0.0
    for shift in (1, -1):
        # (levels,) the best chain's places, each with the name of the neighbouring level.
        renamed = np.roll(best, shift)
        renamed[0 if shift == 1 else -1] = UNSEEN
        both = (renamed != UNSEEN) & (chains != UNSEEN)
        # (chains, levels) mask; a level that is in only one of the two chains is not compared.
        agree = (chains == renamed) | ~both
        total += float(probability[agree.all(axis=1) & (both.sum(axis=1) >= 2)].sum())
    return total


@cache
def _all_chains(places: int) -> NDArray[np.int64]:
    """Return all chains (chains, levels): the place of each level, or UNSEEN."""
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
    """The candidates of a network in one view of a study.

    Attributes:
        places_mm: (candidates, 3) positions.
        shares: (candidates, levels) fraction of each level's heatmap that lies at the candidate.
        normal: (3,) normal of the view's slices; positions are less precise along it.
        weight: weight of the view when levels are assigned.
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
        for place, pairs in enumerate(members):
            indices = [index for view_number, index in pairs if view_number == number]
            shares[place] += view.shares[indices].sum(axis=0)
        evidence += view.weight / total * np.log(shares)
    return assign_levels(places, evidence, float(np.log(UNSEEN_SHARE)))


def _merge(views: Sequence[View]) -> tuple[Floats, list[list[tuple[int, int]]]]:
    """Merge the candidates of all views into places.

    Returns the places, most confident first, and the (view, candidate) pairs of each.
    """
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
        elif len(places) < MAX_PLACES:
            places.append(at)
            members.append([(number, index)])
    joined = [_join(views, pairs) for pairs in members]
    return np.array(joined).reshape(-1, 3), members


def _join(views: Sequence[View], members: list[tuple[int, int]]) -> Floats:
    """Average candidates into one place.

    A candidate has more weight in its slice plane than along the slice normal.
    """
    precisions, moments = [], []
    for number, index in members:
        view = views[number]
        # (3, 3) projections onto the normal and onto the slice plane.
        normal = np.outer(view.normal, view.normal)
        in_plane = np.eye(3) - normal
        share = float(view.shares[index].sum())
        # (3, 3) inverse covariance of the position, times the candidate's total share.
        precision = share * (in_plane / IN_PLANE_SIGMA_MM**2 + normal / NORMAL_SIGMA_MM**2)
        precisions.append(precision)
        moments.append(precision @ view.places_mm[index])
    place: Floats = np.linalg.solve(np.sum(precisions, axis=0), np.sum(moments, axis=0))
    return place
