"""A metric in words, and which of two scores is better."""

from lsdc.experiments.metric import Metric

LOSS, F_SCORE = Metric(), Metric("F0.5", "F0.5", higher_is_better=True, prior="whole mask")


def test_a_title_says_which_way_is_better() -> None:
    assert LOSS.title == "Weighted log loss, lower is better"
    assert F_SCORE.title == "F0.5, higher is better"


def test_the_better_score_costs_less() -> None:
    assert LOSS.cost(0.4) < LOSS.cost(0.5)
    assert F_SCORE.cost(0.5) < F_SCORE.cost(0.4)
