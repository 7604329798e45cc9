"""Nested fitting: the rule of a fold is fitted on the maps of the other folds alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lsdc.challenges.ink.config.mask import MaskConfig
from lsdc.challenges.ink.masks.fit import Survey, candidate_rules, choose, survey
from lsdc.challenges.ink.masks.labelled import Labelled, score_counts
from lsdc.challenges.ink.masks.rule import Rule, fixed_rule
from lsdc.challenges.ink.scoring.metric import Counts


@dataclass(frozen=True)
class Nested:
    """The rules of some settings, and what they count on regions that they were not fitted on.

    Attributes:
        rules: the rule of each fold's regions.
        final: the rule that is fitted on all regions, for the test set.
        fitted: the score of `final` on the regions that it was fitted on; None if nothing is
            fitted.
        counts: the counts of each region, by its fold's rule.
        fragments: the fragment of each region.
    """

    rules: Mapping[int, Rule]
    final: Rule
    fitted: float | None
    counts: dict[str, Counts]
    fragments: dict[str, str]

    @property
    def score(self) -> float:
        """The metric over all regions."""
        return score_counts(self.counts, self.fragments)


def fit_nested(regions: Sequence[Labelled], config: MaskConfig) -> Nested:
    """Fit the rule of each fold on the other folds' regions, and count it on the fold's own.

    With regions of one fold alone there is nothing to fit on: then thresholds are one half, and
    nothing is removed.
    """
    folds = sorted({each.fold for each in regions})
    rules, final, fitted = _fit(regions, folds, config)
    return Nested(
        rules=rules,
        final=final,
        fitted=fitted,
        counts={each.region: each.count(rules[each.fold]) for each in regions},
        fragments={each.region: each.fragment for each in regions},
    )


def _fit(
    regions: Sequence[Labelled], folds: Sequence[int], config: MaskConfig
) -> tuple[dict[int, Rule], Rule, float | None]:
    if not config.fitted:
        rule = fixed_rule(config)
        return dict.fromkeys(folds, rule), rule, None
    candidates = candidate_rules(config)
    surveys = [survey(each, candidates) for each in regions]
    final, fitted = choose(candidates, surveys)
    if len(folds) == 1:
        return {folds[0]: unfitted_rule(config)}, final, fitted
    rules = {fold: choose(candidates, _others(surveys, fold))[0] for fold in folds}
    return rules, final, fitted


def unfitted_rule(config: MaskConfig) -> Rule:
    """Return the rule where no other fold is there to fit on: a probability of one half."""
    half = config.model_copy(update={"by": "value", "threshold": 0.5, "block_px": None})
    kept = {name: None if name == "top" else 0 for name in config.fitted if name != "threshold"}
    return fixed_rule(half.model_copy(update=kept))


def _others(surveys: Sequence[Survey], fold: int) -> list[Survey]:
    return [each for each in surveys if each.fold != fold]
