"""Fitting: the best of all candidates by brute force, nested by folds, with real ties."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from lsdc.challenges.ink.competition.pictures import read_mask
from lsdc.challenges.ink.config.mask import MaskConfig
from lsdc.challenges.ink.masks.fit import candidate_rules, choose, score_rules, survey
from lsdc.challenges.ink.masks.labelled import Labelled, score_counts
from lsdc.challenges.ink.masks.nested import fit_nested
from lsdc.challenges.ink.masks.rule import Rule


def region(name: str, fold: int, *, seed: int, lift: float = 0.0, cut: int = 8) -> Labelled:
    """Return a region with smooth noise for a map, and ink where another one is high.

    `lift` raises all probabilities: values differ between regions, quantiles do not.
    """
    rng = np.random.default_rng(seed)
    truth = ndimage.gaussian_filter(rng.normal(size=(160, 128)), 6)
    ink = truth > np.quantile(truth, 0.85)
    seen = truth + 0.4 * truth.std() * ndimage.gaussian_filter(rng.normal(size=truth.shape), 1) * 3
    values = (seen - seen.min()) / (seen.max() - seen.min()) * (0.9 - lift) + lift
    inside = np.ones(ink.shape, bool)
    inside[:, :cut] = False
    values[~inside] = 0
    return Labelled(name, name.split("-")[0], fold, values.astype(np.float16), inside, ink)


REGIONS = [
    region("1", 0, seed=1),
    region("2-0", 1, seed=2, lift=0.2),
    region("2-1", 2, seed=3, lift=0.2),
    region("3", 0, seed=4, lift=0.05),
]
SETTINGS = [
    MaskConfig(),
    MaskConfig(by="value"),
    MaskConfig(block_px=64),
    MaskConfig(shrink=4),
    MaskConfig(top="fitted", min_region_px="fitted"),
    MaskConfig(by="value", top="fitted", min_region_px="fitted", shrink=4),
    MaskConfig(threshold=0.8, min_region_px="fitted"),
]


@pytest.mark.parametrize("config", SETTINGS, ids=str)
def test_a_survey_counts_what_the_rule_makes(config: MaskConfig) -> None:
    rules = candidate_rules(config)
    surveys = [survey(each, rules) for each in REGIONS]
    fragments = {each.region: each.fragment for each in REGIONS}
    for number in np.linspace(0, len(rules) - 1, 7).astype(int):
        counts = {each.region: each.count(rules[number]) for each in REGIONS}
        exact = score_counts(counts, fragments)
        # A reduced mask is fitted by its cells, and scored by its pixels.
        within = 1e-12 if config.shrink == 1 else 0.05
        assert score_rules(surveys)[number] == pytest.approx(exact, abs=within)


def test_the_best_threshold_is_found() -> None:
    rules = candidate_rules(MaskConfig(by="value"))
    chosen, score = choose(rules, [survey(each, rules) for each in REGIONS])
    fragments = {each.region: each.fragment for each in REGIONS}

    def exact(threshold: float) -> float:
        counts = {each.region: each.count(Rule("value", threshold)) for each in REGIONS}
        return score_counts(counts, fragments)

    assert score == pytest.approx(exact(chosen.threshold))
    assert score >= max(exact(threshold) for threshold in np.arange(0.05, 1, 0.05))


def test_the_rule_of_a_fold_does_not_depend_on_its_own_labels() -> None:
    before = fit_nested(REGIONS, MaskConfig())
    turned = [
        Labelled(e.region, e.fragment, e.fold, e.probabilities, e.inside, ~e.labels)
        if e.fold == 1
        else e
        for e in REGIONS
    ]
    after = fit_nested(turned, MaskConfig())
    assert after.rules[1] == before.rules[1]
    assert after.rules[0] != before.rules[0]
    assert after.counts["2-0"] != before.counts["2-0"]


def test_a_nested_score_is_not_above_the_fitted_one() -> None:
    for config in SETTINGS[:3]:
        nested = fit_nested(REGIONS, config)
        assert nested.fitted is not None
        assert 0.3 < nested.score <= nested.fitted + 1e-12
        assert set(nested.rules) == {0, 1, 2}


def test_a_quantile_carries_over_where_values_differ() -> None:
    assert (
        fit_nested(REGIONS, MaskConfig()).score > fit_nested(REGIONS, MaskConfig(by="value")).score
    )


def test_settings_that_are_not_fitted_are_taken_as_they_are() -> None:
    nested = fit_nested(REGIONS, MaskConfig(threshold=0.8, min_region_px=40))
    assert nested.final == Rule("quantile", 0.8, min_region_px=40)
    assert set(nested.rules.values()) == {nested.final}
    assert nested.fitted is None


def test_one_fold_alone_is_cut_at_one_half() -> None:
    nested = fit_nested(REGIONS[1:2], MaskConfig(top="fitted"))
    assert nested.rules == {1: Rule("value", 0.5)}
    assert nested.final.by == "quantile"


def test_removing_small_regions_pays_where_noise_makes_them() -> None:
    rng = np.random.default_rng(0)
    noisy = []
    for each in REGIONS:
        values = np.array(each.probabilities)
        for row, column in rng.integers(10, 120, (60, 2)):
            values[row : row + 4, column : column + 4] = 0.95
        noisy.append(
            Labelled(each.region, each.fragment, each.fold, values, each.inside, each.labels)
        )
    plain = fit_nested(noisy, MaskConfig(by="value"))
    removed = fit_nested(noisy, MaskConfig(by="value", min_region_px=60))
    assert removed.score > plain.score


@pytest.fixture(scope="module")
def published(real_data: Path) -> Labelled:
    """Return a published map of fragment 1, of which 9 % of the mask is saturated, with labels.

    Its pictures are of one width, and the labels are brought to the map's size.
    """
    folder = real_data / "ink"
    drawn = np.asarray(Image.open(folder / "f1_composite.png").convert("L"))
    labels = read_mask(folder / "inklabels-fragment1.png")
    size = drawn.shape[1], drawn.shape[0]
    ink = np.asarray(Image.fromarray(labels).resize(size)) > 0
    mask = read_mask(folder / "mask-1510x1164.png")
    inside = np.asarray(Image.fromarray(mask).resize(size)) > 0
    values = ((255 - drawn) / 255).astype(np.float16)
    return Labelled("1", "1", 0, values, inside, ink)


def test_a_saturated_map_keeps_its_ink_at_high_quantiles(published: Labelled) -> None:
    share = (published.probabilities[published.inside] >= 0.996).mean()
    assert share == pytest.approx(0.087, abs=0.001)
    low, high, higher = (
        published.count(Rule("quantile", quantile)).f_beta for quantile in (0.82, 0.95, 0.99)
    )
    assert low == pytest.approx(0.514, abs=0.001)
    assert high == higher == pytest.approx(0.533, abs=0.001)  # above the quantile is nothing
    rules = candidate_rules(MaskConfig())
    assert choose(rules, [survey(published, rules)])[1] >= max(low, high)


def test_a_mask_of_another_picture_takes_the_blank_for_ink(
    published: Labelled, real_data: Path
) -> None:
    # The outline of the infrared picture is not quite that of the map. Where the map has nothing it
    # is black, as the surest ink is; quantiles move, and the score falls by 0.07.
    outline = np.asarray(Image.open(real_data / "ink" / "f1_ir.png").getchannel("A")) > 127
    other = replace(published, inside=outline)
    scores = [other.count(Rule("quantile", quantile)).f_beta for quantile in (0.82, 0.87)]
    assert scores == pytest.approx([0.4439, 0.4125], abs=1e-4)
    values = other.probabilities.astype(np.float64)
    assert not (values > np.quantile(values[outline], 0.9)).any()
    assert other.count(Rule("quantile", 0.9)).f_beta > 0.4
