"""Fit rules on out-of-fold maps: the best of all thresholds, or of a grid with regions removed.

Each region is surveyed once. A survey has, for each candidate, the pixels that would be ink and how
many of them are: then any set of regions is fitted by adding numbers up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.ink.config.mask import MaskConfig
from lsdc.challenges.ink.masks.labelled import Labelled
from lsdc.challenges.ink.masks.levels import (
    LEVELS,
    Probabilities,
    at_least,
    count_levels,
    levels_at_quantiles,
    levels_of,
    value_of,
)
from lsdc.challenges.ink.masks.regions import find_regions
from lsdc.challenges.ink.masks.rule import Rule, rule_of, squares
from lsdc.challenges.ink.masks.shrink import shrink, sum_cells
from lsdc.challenges.ink.vocabulary import BETA

Numbers = NDArray[np.float64]

# Candidates. Thresholds alone are fitted over all levels, or thousandths of a quantile.
_QUANTILES = np.linspace(0, 1, 1001)
_COARSE = {"value": np.arange(0.05, 1, 0.05), "quantile": np.arange(0.5, 1, 0.02)}
_TOPS = (0.0, 0.25, 0.5, 0.75, 0.9)  # of the way from the threshold to 1; 0 is no second one
_SIZES_PX = (0, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000)


@dataclass(frozen=True)
class Survey:
    """What a region would count for, by candidate rule.

    Attributes:
        region: its name.
        fragment: the name of its fragment.
        fold: the fold that held it out.
        predicted: the pixels that are ink by each rule, (rules,).
        correct: those of them that are labelled ink, (rules,).
        ink: all labelled ink of the region, also outside the mask.
    """

    region: str
    fragment: str
    fold: int
    predicted: Numbers
    correct: Numbers
    ink: float


@dataclass(frozen=True)
class Scene:
    """A map as rules see it, reduced if they reduce it.

    Attributes:
        probabilities: (rows, columns).
        inside: where the fragment is.
        pixels: how many pixels inside the mask each of these stands for.
        ink: how many of them are labelled ink.
        all_ink: the labelled ink of the whole region.
    """

    probabilities: Probabilities
    inside: NDArray[np.bool_]
    pixels: NDArray[np.float32]
    ink: NDArray[np.float32]
    all_ink: float


def candidate_rules(config: MaskConfig) -> list[Rule]:
    """Return the rules that fitting chooses from."""
    plain = rule_of(config, threshold=0.5, top=None, min_region_px=0)
    regions = config.top is not None or config.min_region_px != 0
    if "threshold" not in config.fitted:
        thresholds: Sequence[float] = [float(config.threshold)]
    elif regions:
        thresholds = [*_COARSE[config.by]]
    elif config.by == "quantile":
        thresholds = [*_QUANTILES]
    else:
        thresholds = [value_of(level) for level in range(1, LEVELS)]
    rules = [replace(plain, threshold=float(each)) for each in thresholds]
    if "top" in config.fitted:
        rules = [
            replace(rule, top=rule.threshold + share * (1 - rule.threshold) if share else None)
            for rule in rules
            for share in _TOPS
        ]
    if "min_region_px" in config.fitted:
        rules = [replace(rule, min_region_px=size) for rule in rules for size in _SIZES_PX]
    return rules


def survey(labelled: Labelled, rules: Sequence[Rule]) -> Survey:
    """Count what each rule would predict of a region; all rules reduce the map alike."""
    scene = _see(labelled, rules[0].shrink)
    if any(rule.looks_at_regions for rule in rules):
        predicted, correct = _with_regions(scene, rules)
    else:
        predicted, correct = _thresholds_alone(scene, rules)
    return Survey(
        labelled.region, labelled.fragment, labelled.fold, predicted, correct, scene.all_ink
    )


def choose(rules: Sequence[Rule], surveys: Sequence[Survey]) -> tuple[Rule, float]:
    """Return the rule with the best score over some regions, and the score.

    The score is the metric: the mean over fragments of F0.5. Of equal rules next to each other the
    one in their middle is taken.
    """
    scores = score_rules(surveys)
    best = np.flatnonzero(scores >= scores.max() - 1e-12)
    run = best[: int(np.argmax(np.append(np.diff(best) > 1, True))) + 1]  # the first neighbours
    chosen = int(run[len(run) // 2])
    return rules[chosen], float(scores[chosen])


def score_rules(surveys: Sequence[Survey]) -> Numbers:
    """Return the score of each rule over some regions, (rules,)."""
    totals: dict[str, tuple[Numbers, Numbers, float]] = {}
    for each in surveys:
        predicted, correct, ink = totals.get(each.fragment, (0.0, 0.0, 0.0))
        totals[each.fragment] = (
            predicted + each.predicted,
            correct + each.correct,
            ink + each.ink,
        )
    scores: Numbers = np.mean([_f_beta(*total) for total in totals.values()], axis=0)
    return scores


def _f_beta(predicted: Numbers, correct: Numbers, ink: float) -> Numbers:
    # (1 + b2) TP + b2 FN + FP = b2 (TP + FN) + (TP + FP)
    whole = BETA**2 * ink + predicted
    return np.divide((1 + BETA**2) * correct, whole, out=np.ones_like(whole), where=whole > 0)


def _see(labelled: Labelled, factor: int) -> Scene:
    inside = np.asarray(labelled.inside)
    within = np.asarray(labelled.labels) & inside
    all_ink = float(np.count_nonzero(labelled.labels))
    if factor == 1:
        pixels, ink = inside.astype(np.float32), within.astype(np.float32)
        return Scene(labelled.probabilities, inside, pixels, ink, all_ink)
    small = shrink(labelled.probabilities, inside, factor)
    return Scene(
        small.probabilities,
        small.inside,
        sum_cells(inside, factor),
        sum_cells(within, factor),
        all_ink,
    )


def _thresholds_alone(scene: Scene, rules: Sequence[Rule]) -> tuple[Numbers, Numbers]:
    predicted, correct = np.zeros(len(rules)), np.zeros(len(rules))
    for square in squares(scene.inside.shape, rules[0].block_px, rules[0].shrink):
        part = scene.probabilities[square], scene.inside[square]
        histogram = count_levels(*part, None)
        levels = _levels(histogram, rules)
        predicted += at_least(count_levels(*part, scene.pixels[square]))[levels]
        correct += at_least(count_levels(*part, scene.ink[square]))[levels]
    return predicted, correct


def _levels(histogram: Numbers, rules: Sequence[Rule]) -> NDArray[np.int64]:
    """Return the level of each rule's threshold."""
    if rules[0].by == "quantile":
        return levels_at_quantiles(histogram, np.array([rule.threshold for rule in rules]))
    return np.array([rule.level(histogram, rule.threshold) for rule in rules])


def _with_regions(scene: Scene, rules: Sequence[Rule]) -> tuple[Numbers, Numbers]:
    predicted, correct = np.zeros(len(rules)), np.zeros(len(rules))
    levels = levels_of(scene.probabilities)
    histogram = count_levels(scene.probabilities, scene.inside, None)
    by_threshold: dict[float, list[int]] = {}
    for number, rule in enumerate(rules):
        by_threshold.setdefault(rule.threshold, []).append(number)
    for threshold, numbers in by_threshold.items():
        ink = np.zeros(scene.inside.shape, bool)
        for square in squares(ink.shape, rules[0].block_px, rules[0].shrink):
            own = count_levels(scene.probabilities[square], scene.inside[square], None)
            level = rules[numbers[0]].level(own, threshold)
            ink[square] = (levels[square] >= level) & scene.inside[square]
        found = find_regions(ink, levels)
        pixels, inked = found.total(scene.pixels), found.total(scene.ink)
        for number in numbers:
            rule = rules[number]
            top = 0 if rule.top is None else rule.level(histogram, rule.top)
            least = rule.min_region_px / rule.shrink**2
            kept = (found.areas >= least) & (found.peaks >= top)
            predicted[number], correct[number] = pixels[kept].sum(), inked[kept].sum()
    return predicted, correct
